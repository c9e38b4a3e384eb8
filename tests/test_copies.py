"""Rows that are copied into files of another run: how many files, and what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import copies
from imagefeatures.layout import Layout
from imagefeatures.pixels import PixelFormat

FOUR_BYTES = PixelFormat((2, 2, 1), layout="L")
SCHEMA = pa.schema([("uri", pa.string()), pa.field("run_id", pa.string(), nullable=False), ("label", pa.string())])


def batches(*sizes: int) -> Iterator[pa.RecordBatch]:
    for number, size in enumerate(sizes):
        rows = [{"uri": f"{number}-{row}", "run_id": "theirs", "label": None} for row in range(size)]
        yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(f"file://{tmp_path}", "photos", "2026-11-02", "ours")


def written(
    layout: Layout, kind: PixelFormat | None, rows: Iterable[pa.RecordBatch], **first: int
) -> list[pq.ParquetFile]:
    files = copies.write(layout, "photos", kind, rows, **first)
    return [pq.ParquetFile(file.uri.removeprefix("file://")) for file in files]


def test_rows_become_rows_of_the_other_run_and_are_otherwise_as_they_were() -> None:
    rows = pa.Table.from_batches(batches(2, 1))
    copied = copies.of_run(rows, "ours")
    assert copied.schema == SCHEMA
    assert copied.to_pylist() == [row | {"run_id": "ours"} for row in rows.to_pylist()]


def test_files_hold_many_rows_and_their_groups_few(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "FILE_ROWS", 3)
    monkeypatch.setattr(copies, "GROUP_ROWS", 2)
    files = written(layout, None, batches(2, 2, 3, 1))
    assert [file.read()["uri"].to_pylist() for file in files] == [
        ["0-0", "0-1", "1-0", "1-1"], ["2-0", "2-1", "2-2"], ["3-0"],
    ]  # fmt: skip
    assert [file.metadata.num_row_groups for file in files] == [2, 2, 1]
    assert {row["run_id"] for file in files for row in file.read().to_pylist()} == {"ours"}
    assert written(layout, None, batches()) == []
    assert len(written(layout, None, batches(3))) == 1


def test_files_of_pixels_are_counted_in_bytes(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(written(layout, FOUR_BYTES, batches(1, 1, 1, 1))) == 1
    for most, rows in ((8, [2, 2]), (3, [1, 1, 1, 1])):  # the last is less than one picture
        monkeypatch.setattr(copies, "FILE_BYTES", most)
        assert [file.metadata.num_rows for file in written(layout, FOUR_BYTES, batches(1, 1, 1, 1))] == rows


def test_files_are_numbered_from_the_first(layout: Layout) -> None:
    def name(**first: int) -> str:
        (file,) = copies.write(layout, "photos", None, batches(1), **first)
        return file.uri.rpartition("/")[2]

    assert name().startswith("ours-shard-00000-")
    assert name(first=7).startswith("ours-shard-00007-")
