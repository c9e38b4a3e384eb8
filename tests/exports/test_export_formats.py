"""exports: each format, read back by its own tool, is the table in order of URI."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from imagefeatures import read
from imagefeatures.exports import npy, webdataset
from imagefeatures.settings import Settings
from support import lakes
from support.exporting import LABELS, WIDTH, expected, exported, publish, rows_of, scattered

COUNT = 1300
NAMES = sorted(label for label in LABELS if label)
DEFAULT = ["partition_key", "uri", "image_id", "label", "width", "height"]

Found = dict[str, Any]


@pytest.fixture
def table(settings: Settings, tmp_path: Path) -> pa.Table:
    """What the files must hold."""
    scattered(settings, tmp_path, COUNT)
    return expected(settings)


def by_h5py(path: Path) -> Found:
    import h5py

    with h5py.File(path) as file:
        texts = {name: file[name].asstr()[:].tolist() for name in ("uris", "label_names", "image_id")}
        assert file["features"].chunks == (COUNT // 32, WIDTH)
        assert file["features"].compression is None
        assert json.loads(file.attrs["versions"])["pyarrow"] == pa.__version__
        assert (file.attrs["fingerprint"], file.attrs["order"]) == ("f" * 32, "uri")
        return {name: file[name][:] for name in ("features", "labels", "width", "height")} | texts


def by_numpy(path: Path) -> Found:
    with np.load(path) as arrays:
        about = json.loads(str(arrays["about"]))
        assert (about["rows"], about["label_names"]) == (COUNT, NAMES)
        texts = {name: arrays[name].tolist() for name in ("uris", "label_names", "image_id")}
        return {name: arrays[name] for name in ("features", "labels", "width", "height")} | texts


def by_numpy_and_parquet(path: Path) -> Found:
    facts = pq.read_table(path.with_suffix(".parquet"))
    return {"features": np.load(path, mmap_mode="r"), **columns(facts)}


def by_arrow(path: Path) -> Found:
    rows = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    assert rows.schema.field("features").type.list_size == WIDTH
    return {"features": np.concatenate([chunk.flatten() for chunk in rows["features"].chunks]), **columns(rows)}


def by_parquet(path: Path) -> Found:
    rows = pq.read_table(path, page_checksum_verification=True)
    return {"features": read.vectors(rows.combine_chunks()), **columns(rows)}


def by_csv(path: Path) -> Found:
    kinds = pyarrow.csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
    rows = pyarrow.csv.read_csv(path, convert_options=kinds)
    return {"features": [json.loads(text) for text in rows["features"].to_pylist()], **columns(rows)}


def by_tensorflow(path: Path) -> Found:
    import tensorflow as tf

    said = json.loads(path.with_suffix(".json").read_text())
    spec = {name: tf.io.FixedLenFeature(kind["shape"], kind["dtype"]) for name, kind in said["features"].items()}
    (rows,) = tf.data.TFRecordDataset(str(path)).batch(COUNT).map(lambda row: tf.io.parse_example(row, spec))
    texts = {key: [text.decode() for text in rows[name].numpy()] for key, name in (("uris", "uri"), ("image_id",) * 2)}
    numbers = {"features": rows["features"], "labels": rows["label"], "width": rows["width"], "height": rows["height"]}
    return {name: tensor.numpy() for name, tensor in numbers.items()} | texts


def by_tarfile(path: Path) -> Found:
    with tarfile.open(path) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
    keys = [f"{number:09d}" for number in range(COUNT)]
    assert list(members) == [f"{key}{suffix}" for key in keys for suffix in (".npy", ".cls", ".json")]
    facts = pa.Table.from_pylist([json.loads(members[f"{key}.json"]) for key in keys])
    vectors = [np.lib.format.read_array(BytesIO(members[f"{key}.npy"])) for key in keys]
    return columns(facts) | {"features": vectors, "labels": [int(members[f"{key}.cls"]) for key in keys]}


def columns(rows: pa.Table) -> Found:
    return {"uris": rows["uri"].to_pylist()} | {name: rows[name].to_pylist() for name in DEFAULT if name != "uri"}


TOOLS: dict[str, Callable[[Path], Found]] = {
    "fruit.h5": by_h5py,
    "fruit.npz": by_numpy,
    "fruit.npy": by_numpy_and_parquet,
    "fruit.arrow": by_arrow,
    "fruit.parquet": by_parquet,
    "fruit.csv": by_csv,
    "fruit.tfrecord": by_tensorflow,
    "fruit.tar": by_tarfile,
}


SLOW = {"fruit.tfrecord": pytest.mark.long}  # TensorFlow is imported for it


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in TOOLS])
def test_an_export_read_back_by_its_tool_is_the_table(
    name: str, settings: Settings, table: pa.Table, tmp_path: Path
) -> None:
    exported(settings, tmp_path / name)
    found = TOOLS[name](tmp_path / name)
    assert found["uris"] == table["uri"].to_pylist()
    values = np.asarray(found["features"], np.float32).reshape(COUNT, WIDTH)
    np.testing.assert_array_equal(values, read.vectors(table.combine_chunks()))
    numbers = [NAMES.index(label) if label else -1 for label in table["label"].to_pylist()]
    assert list(found.get("labels", numbers)) == numbers
    assert list(found.get("label", table["label"].to_pylist())) == table["label"].to_pylist()
    assert list(found.get("label_names", NAMES)) == NAMES
    for column in ("image_id", "width", "height"):
        assert list(found[column]) == table[column].to_pylist()


@pytest.mark.parametrize("name", TOOLS)
def test_the_same_snapshot_gives_the_same_bytes(name: str, settings: Settings, table: pa.Table, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    snapshot = exported(settings, first / name).content.snapshot
    publish(settings, tmp_path, [rows_of([1, 2, 3])])
    exported(settings, second / name, selection={"snapshot": snapshot})
    files = sorted(path.name for path in first.iterdir())
    assert name in files
    assert files == sorted(path.name for path in second.iterdir())
    assert [(first / file).read_bytes() for file in files] == [(second / file).read_bytes() for file in files]


def test_other_columns_are_those_that_are_asked_for_and_a_null_is_kept_or_an_empty_text(
    settings: Settings, table: pa.Table, tmp_path: Path
) -> None:
    import h5py

    for name in ("some.parquet", "some.h5"):
        exported(settings, tmp_path / name, columns=("etag", "features", "size"))
    rows = pq.read_table(tmp_path / "some.parquet")
    assert rows.column_names == ["uri", "label", "size", "etag", "features"]
    assert rows["etag"].to_pylist() == table["etag"].to_pylist()
    with h5py.File(tmp_path / "some.h5") as file:
        assert sorted(file) == ["etag", "features", "label_names", "labels", "size", "uris"]
        assert file["etag"].asstr()[:].tolist() == [text or "" for text in table["etag"].to_pylist()]


@pytest.mark.parametrize("name", ["flat.csv", "flat.parquet", "flat.arrow"])
def test_flat_each_value_is_a_column(name: str, settings: Settings, table: pa.Table, tmp_path: Path) -> None:
    exported(settings, tmp_path / name, flat=True)
    reading = {
        "flat.csv": lambda path: pyarrow.csv.read_csv(path),
        "flat.parquet": pq.read_table,
        "flat.arrow": lambda path: pa.ipc.open_file(path).read_all(),
    }
    rows = reading[name](tmp_path / name)
    values = [f"f{at}" for at in range(WIDTH)]
    assert rows.column_names == [*DEFAULT, *values]
    found = np.stack([rows[value].to_numpy() for value in values], axis=1).astype(np.float32)
    np.testing.assert_array_equal(found, read.vectors(table.combine_chunks()))


def test_a_folder_of_npy_is_laid_out_as_clip_retrieval_has_it(
    settings: Settings, table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npy, "FILE_ROWS", 1024)
    exported(settings, f"{tmp_path}/out/", format="npy")
    vectors = sorted((tmp_path / "out" / "img_emb").iterdir())
    facts = sorted((tmp_path / "out" / "metadata").iterdir())
    assert [path.name for path in vectors] == [f"img_emb_{number:04d}.npy" for number in range(2)]
    assert [path.name for path in facts] == [f"metadata_{number:04d}.parquet" for number in range(2)]
    found = [np.load(path) for path in vectors]
    assert [len(part) for part in found] == [1024, COUNT - 1024]
    np.testing.assert_array_equal(np.concatenate(found), read.vectors(table.combine_chunks()))
    rows = pa.concat_tables([pq.read_table(path) for path in facts])
    assert rows["image_path"].to_pylist() == table["uri"].to_pylist()
    listed = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (listed["format"], listed["rows"]) == ("npy", COUNT)
    assert listed["files"]["img_emb/img_emb_0001.npy"] == vectors[1].stat().st_size


def test_a_folder_of_tars_has_every_sample_once(
    settings: Settings, table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webdataset, "FILE_ROWS", 1024)
    exported(settings, f"{tmp_path}/out/", format="webdataset")
    uris = []
    for number, rows in enumerate((1024, COUNT - 1024)):
        with tarfile.open(tmp_path / "out" / f"{number:05d}.tar") as tar:
            facts = [json.load(tar.extractfile(member)) for member in tar if member.name.endswith(".json")]
        assert len(facts) == rows
        uris += [fact["uri"] for fact in facts]
    assert uris == table["uri"].to_pylist()


def copies_of(path: Path) -> list[int]:
    """The column `copy` of an export, as its format's own reader has it."""
    if path.suffix == ".h5":
        import h5py

        with h5py.File(path) as file:
            assert file["copy"].dtype == np.int32
            return file["copy"][:].tolist()
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            assert arrays["copy"].dtype == np.int32
            return arrays["copy"].tolist()
    import tensorflow as tf

    said = {"copy": tf.io.FixedLenFeature([], tf.int64)}
    return [int(tf.io.parse_single_example(one, said)["copy"]) for one in tf.data.TFRecordDataset(str(path))]


@pytest.mark.parametrize("suffix", ["h5", "npz", pytest.param("tfrecord", marks=pytest.mark.long)])
def test_rows_that_are_older_than_the_column_copy_are_no_copies(
    settings: Settings, tmp_path: Path, suffix: str
) -> None:
    lakes.lay_out("0.1.0", tmp_path)
    exported(settings, target := tmp_path / f"old.{suffix}", columns=("copy",))
    assert copies_of(target) == [0] * 10


@pytest.mark.parametrize("suffix", ["h5", "npz", pytest.param("tfrecord", marks=pytest.mark.long)])
def test_rows_with_and_without_the_number_of_a_copy_are_in_order(
    settings: Settings, tmp_path: Path, suffix: str
) -> None:
    publish(settings, tmp_path, [rows_of(range(2), copy=None), rows_of(range(2), copy=1)])
    exported(settings, target := tmp_path / f"mixed.{suffix}")
    assert copies_of(target) == [0, 1, 0, 1]
