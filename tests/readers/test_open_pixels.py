"""read, with what="pixels": the same promises as of vectors, and uint8 without a conversion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from deploy.local.environment import READERS
from imagefeatures import read, schemas
from imagefeatures.errors import InputError
from imagefeatures.pixels import PixelFormat
from imagefeatures.readers import parquet, stream
from imagefeatures.settings import REPOSITORY, Settings
from support.exporting import LABELS
from support.pixel_tables import pictures, publish, rows_of, scattered
from support.publishing import DAY
from support.reading import NEXT_DAY
from support.snippets import section
from support.training import publish_files


def test_arrays_hold_every_picture_in_the_order_of_the_table(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(40)), rows_of(range(40, 50))])
    fruit = read.open("photos", what="pixels")
    pixels, labels, uris, label_names = fruit.to_numpy()
    assert (len(fruit), fruit.shape, fruit.fingerprint) == (50, (6, 5, 3), "f" * 32)
    assert repr(fruit) == f"<features.photos_pixels, snapshot {fruit.snapshot}, 50 rows>"
    assert (pixels.dtype, pixels.flags.writeable) == (np.uint8, True)
    assert np.array_equal(pixels, pictures(range(50)))
    assert [label_names[number] if number >= 0 else None for number in labels[:4]] == list(LABELS)
    rows = read.table(settings, "photos", what="pixels")
    assert uris.tolist() == rows["uri"].to_pylist()
    assert np.array_equal(read.pixels(rows), pixels)
    assert pa.Table.from_batches(fruit.batches()).equals(rows)


def test_a_reader_needs_nothing_but_the_table_to_know_the_shape(settings: Settings, tmp_path: Path) -> None:
    kind = PixelFormat.of_shape((3, 4, 1))
    publish(settings, tmp_path, [rows_of(range(3), kind=kind)], kind=kind)
    assert read.open("photos", what="pixels").to_numpy().pixels.shape == (3, 3, 4, 1)
    (rows,) = read.batches(settings, "photos", what="pixels", columns=("uri", "pixels"))
    assert rows.schema.names == ["uri", "pixels"]
    assert np.array_equal(read.tensors(rows).to_numpy_ndarray(), pictures(range(3), kind))
    none = read.open("photos", what="pixels", partitions=("2020-01-01",)).to_numpy()
    assert none.pixels.shape == (0, 3, 4, 1)
    assert read.table(settings, "photos", what="pixels", partitions=("2020-01-01",)).schema == schemas.pixels_table(
        kind
    )


def test_which_rows_and_which_columns_are_as_for_vectors(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(20))])
    publish(settings, tmp_path, [rows_of(range(20, 24), NEXT_DAY)], NEXT_DAY)
    later = read.open("photos", what="pixels", partitions=(NEXT_DAY,))
    assert np.array_equal(later.to_numpy().pixels, pictures(range(20, 24)))
    pears = read.table(settings, "photos", what="pixels", labels=("pear",), where=f"partition_key = '{DAY}'")
    assert np.array_equal(read.pixels(pears), pictures(range(0, 20, 4)))
    sides = [set(read.open("photos", what="pixels", split=side).to_numpy().uris) for side in ("train", "test")]
    assert len(sides[0] | sides[1]) == 24
    assert not sides[0] & sides[1]
    assert len(read.files(settings, "photos", what="pixels")) == 2
    with pytest.raises(InputError, match=r"^features\.photos_pixels: no column 'features'; it has partition_key, uri"):
        read.batches(settings, "photos", what="pixels", columns=("features",))


def test_pixels_that_were_made_in_two_ways_are_refused_until_one_is_chosen(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(5))])
    publish(settings, tmp_path, [rows_of(range(5, 8), NEXT_DAY, fingerprint="e" * 32)], NEXT_DAY)
    both = read.open("photos", what="pixels")
    for use in (both.to_numpy, both.to_tf, lambda: both.fingerprint):
        with pytest.raises(
            InputError, match=r"^features\.photos_pixels: its pixels were made in several ways and do n"
        ):
            use()
    assert len(read.open("photos", what="pixels", fingerprint="e" * 32).to_numpy().pixels) == 3


def test_what_there_is_not_is_told(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [3])
    with pytest.raises(
        InputError, match=r"^features\.photos_pixels: no pixels are published; `pixels: keep` in the da"
    ):
        read.open("photos", what="pixels")
    with pytest.raises(InputError, match=r"^features\.runs: has no pixels; name a dataset$"):
        read.table(settings, "runs", what="pixels")
    with pytest.raises(InputError, match=r"^what is 'images'; it may be features or pixels$"):
        read.table(settings, "photos", what="images")  # type: ignore[arg-type]
    publish(settings, tmp_path, [rows_of([1])])
    with pytest.raises(InputError, match=r"^features\.plum: no such dataset is published; there are: photos$"):
        read.open("plum")


def test_a_batch_of_pixels_is_bounded_by_its_bytes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1000)
    publish(settings, tmp_path, [rows_of(range(50))])
    batches = list(read.batches(settings, "photos", what="pixels"))
    assert [rows.num_rows for rows in batches] == [11, 11, 11, 11, 6]
    assert np.array_equal(np.concatenate([read.pixels(rows) for rows in batches]), pictures(range(50)))
    assert {rows.num_rows for rows in read.batches(settings, "photos", what="pixels", columns=("uri",))} == {50}


def test_duckdb_reads_the_bytes_in_the_files(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(30))])
    files = read.files(settings, "photos", what="pixels")
    query = "select pixels from read_parquet($files) where label = 'apple' order by uri"
    found = duckdb.execute(query, {"files": files}).fetchall()
    assert [pixels for (pixels,) in found] == [picture.tobytes() for picture in pictures(range(1, 30, 4))]


def test_a_data_frame_has_an_array_for_each_picture(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings, tmp_path, [rows_of(range(3)), rows_of(range(3, 150))])
    program = """
import json, numpy
from imagefeatures import read
photos = read.open("photos", what="pixels")
frame, two = photos.to_pandas(), photos.to_pandas(columns=("uri", "label"))
arrays = photos.to_numpy()
assert numpy.array_equal(numpy.stack(frame["pixels"]), arrays.pixels)
assert frame["uri"].tolist() == two["uri"].tolist() == arrays.uris.tolist()
print(json.dumps([list(frame), list(two), str(frame["pixels"][5].dtype), frame["pixels"][5].shape]))
"""
    monkeypatch.setenv("PYTHONPATH", str(READERS), prepend=":")
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert json.loads(found) == [list(schemas.PIXEL_COLUMNS), ["uri", "label"], "uint8", [6, 5, 3]]


@pytest.mark.parametrize("shuffle", [False, True])
def test_tensorflow_gets_uint8_and_every_picture_once(
    shuffle: bool, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "WINDOW_BYTES", 4000)
    scattered(settings, tmp_path, 60)
    fruit = read.open("photos", what="pixels")
    dataset = fruit.to_tf(batch=16, shuffle=shuffle, seed=1 if shuffle else None)
    assert dataset.element_spec[0].shape.as_list() == [None, 6, 5, 3]
    found = [(pixels.numpy(), labels.numpy()) for pixels, labels in dataset]
    assert {pixels.dtype.name for pixels, _ in found} == {"uint8"}
    assert len(dataset) == len(found) == 4
    everything = np.concatenate([pixels for pixels, _ in found])
    numbers = np.concatenate([labels for _, labels in found])
    expected = fruit.to_numpy()
    assert np.array_equal(everything, expected.pixels) is not shuffle
    order = {picture.tobytes(): label for picture, label in zip(expected.pixels, expected.labels, strict=True)}
    assert len(order) == len(everything) == 60
    assert [order[picture.tobytes()] for picture in everything] == numbers.tolist()


def test_the_examples_of_the_documents_read_every_picture(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(30))])
    first, second = (
        code.replace('"fruit"', '"photos"')
        for language, code in section(REPOSITORY / "docs" / "reading.md", "Pixels").blocks
        if language == "py"
    )
    found: dict[str, Any] = {}
    exec(first, found)
    assert np.array_equal(found["pixels"], pictures(range(30)))
    assert 0 < sum(len(labels) for _, labels in found["training"]) < 30
    exec(second, found)
    assert np.array_equal(found["pixels"], pictures(range(30)))
    assert np.array_equal(found["tensors"].to_numpy_ndarray(), pictures(range(30)))
