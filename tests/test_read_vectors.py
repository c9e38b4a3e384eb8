"""read: the vectors in batches and tables, and the memory that reading them takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.table import Table

from imagefeatures import read, schemas
from imagefeatures.catalog import tables
from imagefeatures.errors import InputError
from imagefeatures.readers import parquet
from imagefeatures.settings import REPOSITORY, Settings
from support.publishing import DAY, features_file
from support.reading import Publish, photos_table, publisher


@pytest.fixture
def photos(settings: Settings) -> Table:
    """The empty table features.photos."""
    return photos_table(settings)


@pytest.fixture
def publish(photos: Table, tmp_path: Path) -> Publish:
    """publish(run_id, rows, …, partition=…): a file for each count of rows takes the partition's place."""
    return publisher(photos, tmp_path)


# Vectors


def list_of(values: Any, kind: pa.DataType | None = None) -> pa.RecordBatch:
    return pa.record_batch({"features": pa.array(values, kind or pa.list_(pa.float32()))})


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_the_vectors_of_a_batch_are_a_view_of_its_memory(settings: Settings, publish: Publish) -> None:
    publish("first", 2500)
    for batch in read.batches(settings, "photos", columns=("features",)):
        values = batch["features"].values
        vectors = read.vectors(batch)
        assert (vectors.shape, vectors.dtype) == ((len(batch), 4), np.float32)
        assert address(vectors) == values.buffers()[1].address + 4 * values.offset
        part = batch.slice(7, 20)
        assert np.shares_memory(read.vectors(part), vectors)
        assert np.array_equal(read.vectors(part), vectors[7:27])
        assert not vectors.flags.writeable


def test_the_vectors_of_a_table_are_copied_only_where_it_has_several_chunks() -> None:
    batch = list_of(np.arange(12, dtype=np.float32).reshape(6, 2).tolist())
    table = pa.Table.from_batches([batch])
    assert np.shares_memory(read.vectors(table), read.vectors(batch))
    assert np.array_equal(read.vectors(table), np.arange(12, dtype=np.float32).reshape(6, 2))
    cut = pa.Table.from_batches([batch.slice(4), batch.slice(0, 0), batch.slice(1, 2)])
    assert read.vectors(cut).tolist() == [[8, 9], [10, 11], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 2)], ids=str
)
def test_vectors_of_other_libraries_types_are_float32_too(kind: pa.DataType) -> None:
    batch = list_of([[1, 2], [3, 4], [5, 6]], kind)
    vectors = read.vectors(batch.slice(1))
    assert (vectors.tolist(), vectors.dtype) == ([[3, 4], [5, 6]], np.float32)


def test_a_null_inside_a_vector_is_nan() -> None:
    vectors = read.vectors(list_of([[1, None], [3, 4]]))
    assert np.array_equal(vectors, [[1, np.nan], [3, 4]], equal_nan=True)


@pytest.mark.parametrize("rows", [list_of([]), pa.table({"features": pa.chunked_array([], pa.list_(pa.float32()))})])
def test_no_rows_have_no_vectors_and_no_width(rows: pa.RecordBatch | pa.Table) -> None:
    assert (read.vectors(rows).shape, read.vectors(rows).dtype) == ((0, 0), np.float32)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[1, 2], [3, 4], None], "row 2: no vector"),
        ([[1, 2], [3, 4], [5], [6, 7, 8]], "row 2: a vector of 1 values, where row 0 has 2"),
        ([[1, 2], []], "row 1: a vector of 0 values, where row 0 has 2"),
    ],
)
def test_a_row_whose_vector_is_missing_or_of_another_width_is_named(values: list[Any], words: str) -> None:
    batch = list_of(values)
    for rows in (batch, pa.Table.from_batches([batch.slice(0, 1), batch.slice(1)])):
        with pytest.raises(InputError, match=f"^{words}$"):
            read.vectors(rows)


# Memory

VECTORS = 61_440
VECTORS_MIB = VECTORS * 1280 * 4 / 2**20

READ_SLOWLY = """
import json, sys, time
from benchmarks.memory import peak_mib
from imagefeatures import read
from imagefeatures.settings import Settings
settings, dataset, counts, peaks = Settings.from_env(), sys.argv[1], [], []
for snapshot in map(int, sys.argv[2:]):
    rows, total = 0, 0.0
    for batch in read.batches(settings, dataset, snapshot=snapshot):
        time.sleep(0.005)  # so that whatever reads ahead has all the time that it wants
        vectors = read.vectors(batch)
        rows, total = rows + len(vectors), total + float(vectors[:, 0].sum())
    counts.append([rows, total])
    peaks.append(peak_mib())
print(json.dumps([counts, peaks]))
"""


def vectors_file(path: Path, count: int, compression: str = "none") -> str:
    """A file of one row group, with vectors of 1280 values; zstd makes a third of them."""
    constant = pq.read_table(features_file(path.parent, "first", rows=1).removeprefix("file://"))
    vectors = np.random.default_rng(0).integers(256, size=(512, 1280)).astype(np.float32) / 256
    every = np.broadcast_to(vectors, (count // 512, 512, 1280)).reshape(-1)
    features = pa.ListArray.from_arrays(np.arange(0, len(every) + 1, 1280, dtype=np.int32), pa.array(every))
    columns = {name: pa.repeat(constant[name][0], count) for name in constant.column_names} | {"features": features}
    columns["run_id"] = pa.repeat("first", count)
    table = pa.table([columns[name] for name in schemas.FEATURES.names], schema=schemas.FEATURES)
    pq.write_table(table, path, compression=compression, use_dictionary=False, row_group_size=count)
    return f"file://{path}"


@pytest.mark.parametrize("how", ["many files", pytest.param("one file", marks=pytest.mark.long)])
def test_memory_does_not_grow_with_the_table(
    settings: Settings, photos: Table, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """300 MiB of vectors, read slowly after those of one file: in 120 files as featurize writes them, and in one."""
    small = vectors_file(tmp_path / "small.parquet", 512)
    files = [vectors_file(tmp_path / "large.parquet", VECTORS, "zstd")] if how == "one file" else []
    for at in range(VECTORS // 512 if how == "many files" else 0):
        os.link(tmp_path / "small.parquet", tmp_path / f"{at}.parquet")
        files.append(f"file://{tmp_path}/{at}.parquet")
    snapshots = []
    for run in ([small], files):
        tables.replace_files(photos, DAY, run, "first")
        snapshots.append(str(photos.refresh().metadata.current_snapshot_id))
    command = [sys.executable, "-c", READ_SLOWLY, "photos", *snapshots]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    ((few, part), (every, total)), (first, last) = json.loads(found)
    with capsys.disabled():
        print(
            f" {how}: {first:.0f} MiB after 512 vectors, {last:.0f} MiB after {VECTORS}'s {VECTORS_MIB:.0f} MiB ",
            end="",
        )
    assert (few, every) == (512, VECTORS)
    assert how == "many files" or (tmp_path / "large.parquet").stat().st_size > parquet.LARGE_FILE
    assert total == pytest.approx(part * VECTORS / 512)
    assert last - first < VECTORS_MIB / 2
