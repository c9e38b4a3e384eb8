"""exports with `--what pixels`: each format, read back by its own tool, is the table in order of URI."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from imagefeatures import read
from imagefeatures.errors import InputError
from imagefeatures.exports import content, export, webdataset
from imagefeatures.pixels import PixelFormat
from imagefeatures.settings import REPOSITORY, Settings
from support.exporting import LABELS, exported
from support.pixel_tables import KIND, pictures, publish, rows_of, scattered
from support.publishing import DAY
from support.reading import NEXT_DAY
from support.snippets import section

COUNT = 130
NAMES = sorted(label for label in LABELS if label)

Found = dict[str, Any]


@pytest.fixture
def table(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pa.Table:
    """What the files must hold. A batch has 50 pictures, so that an export has several."""
    monkeypatch.setattr(content, "BATCH_BYTES", 50 * KIND.size)
    scattered(settings, tmp_path, COUNT)
    return read.table(settings, "photos", what="pixels").sort_by("uri")


def by_h5py(path: Path) -> Found:
    import h5py

    with h5py.File(path) as file:
        assert file["images"].dtype == np.uint8
        assert (json.loads(file.attrs["images"]), file.attrs["layout"]) == ([6, 5, 3], "RGB")
        assert "model" not in file.attrs
        assert file["label_names"].asstr()[:].tolist() == NAMES
        return {"pixels": file["images"][:], "labels": file["labels"][:], "uris": file["uris"].asstr()[:].tolist()}


def by_numpy(path: Path) -> Found:
    with np.load(path) as arrays:
        assert json.loads(str(arrays["about"]))["table"] == "features.photos_pixels"
        return {"pixels": arrays["images"], "labels": arrays["labels"], "uris": arrays["uris"].tolist()}


def by_numpy_and_parquet(path: Path) -> Found:
    return {"pixels": np.load(path, mmap_mode="r")} | columns(pq.read_table(path.with_suffix(".parquet")))


def by_arrow(path: Path) -> Found:
    rows = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    assert rows.schema.field("pixels").type == KIND.tensor_type
    return {"pixels": np.concatenate([c.to_numpy_ndarray() for c in rows["pixels"].chunks])} | columns(rows)


def by_parquet(path: Path) -> Found:
    rows = pq.read_table(path, page_checksum_verification=True)
    assert rows.schema.field("pixels").type == KIND.storage
    return {"pixels": read.pixels(rows)} | columns(rows)


def by_tensorflow(path: Path) -> Found:
    import tensorflow as tf

    described = json.loads(path.with_suffix(".json").read_text())["features"]
    spec = {name: tf.io.FixedLenFeature(one["shape"], one["dtype"]) for name, one in described.items()}
    (rows,) = tf.data.TFRecordDataset(str(path)).batch(COUNT).map(lambda row: tf.io.parse_example(row, spec))
    raw = described["pixels"]
    pixels = tf.reshape(tf.io.decode_raw(rows["pixels"], raw["decode_raw"]), [-1, *raw["decoded_shape"]])
    uris = [text.decode() for text in rows["uri"].numpy()]
    return {"pixels": pixels.numpy(), "labels": rows["label"].numpy(), "uris": uris}


def by_tarfile(path: Path) -> Found:
    with tarfile.open(path) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
    keys = [f"{number:09d}" for number in range(COUNT)]
    assert list(members) == [f"{key}{suffix}" for key in keys for suffix in (".png", ".cls", ".json")]
    pixels = [np.asarray(Image.open(BytesIO(members[f"{key}.png"]))) for key in keys]
    facts = pa.Table.from_pylist([json.loads(members[f"{key}.json"]) for key in keys])
    return {"pixels": pixels, "labels": [int(members[f"{key}.cls"]) for key in keys], **columns(facts)}


def columns(rows: pa.Table) -> Found:
    return {"uris": rows["uri"].to_pylist()} | {name: rows[name].to_pylist() for name in ("label", "image_id", "width")}


TOOLS: dict[str, Callable[[Path], Found]] = {
    "fruit.h5": by_h5py,
    "fruit.npz": by_numpy,
    "fruit.npy": by_numpy_and_parquet,
    "fruit.arrow": by_arrow,
    "fruit.parquet": by_parquet,
    "fruit.tfrecord": by_tensorflow,
    "fruit.tar": by_tarfile,
}


@pytest.mark.parametrize("name", TOOLS)
def test_an_export_of_pixels_read_back_by_its_tool_is_the_table(
    name: str, settings: Settings, table: pa.Table, tmp_path: Path
) -> None:
    for copy in ("first", "second"):
        exported(settings, tmp_path / copy / name, what="pixels")
    found = TOOLS[name](tmp_path / "first" / name)
    assert np.asarray(found["pixels"]).dtype == np.uint8
    assert np.array_equal(found["pixels"], read.pixels(table))
    assert found["uris"] == table["uri"].to_pylist()
    numbers = [NAMES.index(label) if label else -1 for label in table["label"].to_pylist()]
    assert list(found.get("labels", numbers)) == numbers
    for column in ("label", "image_id", "width"):
        assert list(found.get(column, table[column].to_pylist())) == table[column].to_pylist()
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


@pytest.mark.parametrize(("title", "name"), [("TensorFlow, pixels", "tfrecord"), ("Parquet, pixels", "parquet")])
def test_the_example_of_the_documents_reads_every_picture(
    title: str, name: str, settings: Settings, table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exported(settings, tmp_path / f"fruit.{name}", what="pixels")
    (code,) = (code for _, code in section(REPOSITORY / "docs" / "exports.md", title).blocks)
    found: dict[str, Any] = {}
    exec(code, found)
    pixels = found["pixels"] if name == "parquet" else np.concatenate([some.numpy() for some, _ in found["dataset"]])
    assert np.array_equal(pixels, read.pixels(table))


def test_a_folder_of_tars_has_every_picture_once(
    settings: Settings, table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webdataset, "FILE_ROWS", 70)
    exported(settings, f"{tmp_path}/out/", format="webdataset", what="pixels")
    uris = []
    for number, rows in enumerate((70, 60)):
        with tarfile.open(tmp_path / "out" / f"{number:05d}.tar") as tar:
            facts = [json.load(tar.extractfile(member)) for member in tar if member.name.endswith(".json")]
        assert len(facts) == rows
        uris += [fact["uri"] for fact in facts]
    assert uris == table["uri"].to_pylist()


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_png_has_the_channels_of_the_pixels(channels: int, settings: Settings, tmp_path: Path) -> None:
    kind = PixelFormat.of_shape((6, 5, channels))
    publish(settings, tmp_path, [rows_of([7], kind=kind)], kind=kind)
    exported(settings, tmp_path / "out.tar", what="pixels")
    with tarfile.open(tmp_path / "out.tar") as tar:
        image = Image.open(BytesIO(tar.extractfile("000000000.png").read()))
    assert image.mode == kind.layout
    assert np.array_equal(np.asarray(image).reshape(kind.shape), pictures([7], kind)[0])


def test_what_no_png_holds_is_refused(settings: Settings, tmp_path: Path) -> None:
    kind = PixelFormat.of_shape((6, 5, 5))
    publish(settings, tmp_path, [rows_of([7], kind=kind)], kind=kind)
    with pytest.raises(
        InputError, match=r"^pixels uint8 \[6, 5, 5\] channels: a PNG holds 1 to 4 channels of 8 bits; "
    ):
        exported(settings, tmp_path / "out.tar", what="pixels")
    exported(settings, tmp_path / "out.npy", what="pixels")
    assert np.array_equal(np.load(tmp_path / "out.npy"), pictures([7], kind))


def test_pixels_of_two_fingerprints_are_refused(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(3))])
    publish(settings, tmp_path, [rows_of(range(3), NEXT_DAY, fingerprint="e" * 32)], NEXT_DAY)
    with pytest.raises(InputError, match=rf"pixels of several fingerprints \({'e' * 32} and {'f' * 32}\) cannot be co"):
        exported(settings, tmp_path / "out.npy", what="pixels")
    exported(settings, tmp_path / "out.npy", what="pixels", selection={"partitions": [DAY]})
    assert len(np.load(tmp_path / "out.npy")) == 3


@pytest.mark.parametrize("suffix", ["h5", "npy", "npz", "arrow", "parquet", "tar", "tfrecord"])
def test_the_estimate_of_pixels_is_within_five_percent(suffix: str, settings: Settings, tmp_path: Path) -> None:
    kind = PixelFormat.of_shape((60, 60, 3))
    scattered(settings, tmp_path, 500, files=4, kind=kind)
    target = tmp_path / "out" / f"out.{suffix}"
    ready = export.prepare(settings, export.Request("photos", str(target), what="pixels"))
    size = ready.write()
    assert size == sum(path.stat().st_size for path in target.parent.iterdir())
    assert ready.bytes == pytest.approx(size, rel=0.05)
