"""Batches of data files: which columns, which rows, how many at a time and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import schemas
from imagefeatures.catalog.snapshots import SnapshotFile
from imagefeatures.errors import InputError
from imagefeatures.pixels import PixelFormat
from imagefeatures.readers import parquet


def test_the_columns_are_those_of_the_table_or_of_the_given_schema() -> None:
    pixels = schemas.pixels_table(PixelFormat.of_shape((2, 3, 3)))
    assert parquet.schema_of("photos") == schemas.FEATURES
    assert parquet.schema_of("photos_pixels", None, pixels) == pixels
    assert parquet.schema_of("photos_pixels", ("pixels", "uri"), pixels).field("pixels") == pixels.field("pixels")
    assert parquet.schema_of("photos", ["label", "uri"]).names == ["uri", "label"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [(("uri", "lable"), "no column 'lable'; it has partition_key, "), ((), "no column is chosen; it")],
)
def test_columns_that_are_none_are_refused(columns: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=rf"^features\.photos: {words}"):
        parquet.schema_of("photos", columns)


def test_a_batch_has_fewer_rows_where_rows_have_pixels() -> None:
    assert parquet.batch_rows([pa.string(), pa.list_(pa.float32())]) == 1024
    assert parquet.batch_rows([pa.string(), pa.binary(224 * 224 * 3)]) == 111
    assert parquet.batch_rows([pa.binary(1 << 23), pa.binary(1 << 22)]) == 1
    assert parquet.batch_rows([pa.binary(1 << 25)]) == 1


@pytest.fixture
def file(tmp_path: Path) -> tuple[str, int]:
    """Three row groups of four rows."""
    path = tmp_path / "1.parquet"
    pq.write_table(pa.table({"n": range(12), "m": range(12)}), path, row_group_size=4)
    return f"file://{path}", path.stat().st_size


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (None, [(0, [0, 1, 2]), (3, [3]), (4, [4, 5, 6]), (7, [7]), (8, [8, 9, 10]), (11, [11])]),
        ([4], [(4, [4, 5, 6]), (7, [7])]),
        ([3, 8], [(0, [0, 1, 2]), (3, [3]), (8, [8, 9, 10]), (11, [11])]),
        ([12], []),
    ],
)
def test_row_groups_that_hold_none_of_the_rows_are_passed_over(
    file: tuple[str, int], rows: list[int] | None, expected: list[Any]
) -> None:
    for held in (None, 0):
        found = list(parquet.file_batches(*file, ["n", "not there"], rows, held, most=3))
        assert [(first, batch["n"].to_pylist()) for first, batch in found] == expected
        assert all(batch.schema.names == ["n"] for _, batch in found)


def test_a_file_of_this_machine_is_read_on_from_where_the_last_read_has_ended(file: tuple[str, int]) -> None:
    uri, size = file
    data = Path(uri.removeprefix("file://")).read_bytes()
    reader = parquet._IntoArrow(uri, size)
    assert bytes(reader.read(0)) == b""
    assert bytes(reader.read(5)) == data[:5]
    assert bytes(reader.read()) == data[5:]
    assert bytes(reader.read(5)) == b""


def test_files_of_an_object_store_are_read_several_at_a_time() -> None:
    here, there = SnapshotFile("file:///1", 1), SnapshotFile("s3://b/1", 1)
    assert [parquet.files_ahead(files) for files in ([here], [here, there], [there], [])] == [1, 4, 4, 1]


def batch(*values: int) -> pa.RecordBatch:
    return pa.record_batch({"n": values})


def test_what_comes_after_the_first_rows_is_not_read() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield batch(1, 2, 3)
        yield batch(4, 5, 6)
        pytest.fail("it is not needed")

    for most, expected in ((2, [[1, 2]]), (3, [[1, 2, 3]]), (5, [[1, 2, 3], [4, 5]]), (6, [[1, 2, 3], [4, 5, 6]])):
        assert [one["n"].to_pylist() for one in parquet.first_rows(batches(), most)] == expected
    assert [one["n"].to_pylist() for one in parquet.first_rows(iter([batch(1)]), 9)] == [[1]]


def test_a_batch_gets_the_columns_and_types_of_a_schema() -> None:
    schema = pa.schema([("new", pa.string()), ("n", pa.int32())])
    found = parquet.with_schema(pa.record_batch({"n": [1, 2], "other": [3, 4]}), schema)
    assert found.schema == schema
    assert found.to_pydict() == {"new": [None, None], "n": [1, 2]}


@pytest.mark.parametrize("size", [1, parquet.SMALL_FILE + 1])
def test_a_batch_is_taken_from_each_of_some_files_in_turn(size: int) -> None:
    files = [SnapshotFile(f"file:///{name}", size) for name in "abcde"]

    def read(file: SnapshotFile) -> Iterator[pa.RecordBatch]:
        for number in range(3 if file.uri.endswith("a") else 2):
            yield pa.record_batch({"n": [f"{file.uri[-1]}{number}"]})

    def order(together: int) -> list[str]:
        return [one["n"][0].as_py() for one in parquet._in_turn(files, read, together)]

    assert order(1) == ["a0", "a1", "a2", "b0", "b1", "c0", "c1", "d0", "d1", "e0", "e1"]
    assert order(3) == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "d0", "e0", "d1", "e1"]
    assert order(9) == ["a0", "b0", "c0", "d0", "e0", "a1", "b1", "c1", "d1", "e1", "a2"]


def test_rows_that_pyiceberg_reads_come_in_batches_too() -> None:
    rows = pa.record_batch({"pixels": pa.array([b"1" * (1 << 23)] * 5, pa.binary(1 << 23))})
    file = SnapshotFile("file:///1", 1, lambda _: iter([rows]))
    assert [one.num_rows for one in parquet._read(file, ["pixels"], 0)] == [2, 2, 1]
