"""read: what the tables hold, in record batches of one snapshot, and the vectors in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.expressions import EqualTo
from pyiceberg.table import Table
from pyiceberg.types import StringType

from imagefeatures import read, schemas, storage
from imagefeatures.catalog import tables
from imagefeatures.errors import InputError
from imagefeatures.settings import REPOSITORY, Settings
from support import lakes
from support.publishing import DAY, delete_rows, features_file, publish_older_run

NEXT_DAY = "2026-11-03"
Publish = Callable[..., list[str]]


@pytest.fixture
def photos(settings: Settings) -> Table:
    """The empty table features.photos."""
    return tables.open_table(tables.open_catalog(settings), settings, "photos")


@pytest.fixture
def publish(photos: Table, tmp_path: Path) -> Publish:
    """publish(run_id, rows, …, partition=…): a file for each count of rows takes the partition's place."""

    def replace(run_id: str, *rows: int, partition: str = DAY, label: str = "red") -> list[str]:
        files = sorted(features_file(tmp_path, run_id, partition, count, label) for count in rows)
        tables.replace_files(photos, partition, files, run_id)
        return files

    return replace


def counts(rows: pa.Table, column: str) -> dict[str, int]:
    return {found["values"]: found["counts"] for found in rows[column].value_counts().to_pylist()}


def by_iceberg(table: Table, snapshot: int | None = None) -> pa.Table:
    """Every row as pyiceberg's own scan reads it, in the types of this version."""
    schema = schemas.TABLES.get(table.name()[-1], schemas.FEATURES)
    return table.scan(snapshot_id=snapshot).to_arrow().select(schema.names).cast(schema)


# What a batch is


def test_a_batch_has_the_columns_of_the_schema_and_no_more_rows_than_it_may(
    settings: Settings, publish: Publish
) -> None:
    publish("first", 2500, 3)
    found = list(read.batches(settings, "photos"))
    assert all(batch.schema.equals(schemas.FEATURES, check_metadata=True) for batch in found)
    assert sorted(batch.num_rows for batch in found) == [3, 2500 - 2 * read.BATCH_ROWS, *[read.BATCH_ROWS] * 2]
    assert read.table(settings, "photos").equals(pa.Table.from_batches(found))


def test_the_same_snapshot_gives_the_same_rows_in_the_same_order(settings: Settings, publish: Publish) -> None:
    for partition in (NEXT_DAY, DAY):
        publish("first", *range(1, 25), partition=partition)
    rows = read.table(settings, "photos")
    assert rows.equals(read.table(settings, "photos"))
    files = read.files(settings, "photos")
    assert files == sorted(files)
    assert rows.equals(pa.concat_tables([pq.read_table(file.removeprefix("file://")) for file in files]))


def test_columns_come_in_the_order_of_the_schema_and_only_those_that_are_chosen(
    settings: Settings, publish: Publish
) -> None:
    publish("first", 3)
    rows = read.table(settings, "photos", columns=("run_id", "label", "uri"))
    assert rows.schema.names == ["uri", "label", "run_id"]
    assert rows.to_pylist() == [{"uri": f"s3://b/{at}", "label": "red", "run_id": "first"} for at in range(3)]
    with pytest.raises(InputError, match=r"^features\.photos: no column 'lable'; it has partition_key, uri, .*run_id$"):
        read.batches(settings, "photos", columns=("uri", "lable"))
    with pytest.raises(InputError, match="no column is chosen"):
        read.batches(settings, "photos", columns=())


def test_files_that_are_read_in_parts_or_row_group_by_row_group_give_the_same_rows(
    settings: Settings, photos: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = features_file(tmp_path, "first", rows=3000)
    path = Path(file.removeprefix("file://"))
    written = pq.read_table(path)
    pq.write_table(written, path, row_group_size=700)
    tables.replace_files(photos, DAY, [file], "first")
    assert read.table(settings, "photos").equals(written)
    monkeypatch.setattr(read, "SMALL_FILE", 0)
    monkeypatch.setattr(read, "LARGE_FILE", 0)
    assert read.table(settings, "photos").equals(written)
    assert [batch.num_rows for batch in read.batches(settings, "photos")] == [700] * 4 + [200]


# One snapshot


def test_what_is_published_while_batches_are_read_changes_nothing_in_them(settings: Settings, publish: Publish) -> None:
    publish("first", *[2] * 40)
    found = read.batches(settings, "photos")
    seen = [next(found)]
    publish("second", 5)
    publish("second", 5, partition=NEXT_DAY)
    seen += found
    assert counts(pa.Table.from_batches(seen), "run_id") == {"first": 80}
    assert counts(read.table(settings, "photos"), "run_id") == {"second": 10}


def test_the_snapshot_is_settled_by_the_call_and_not_by_the_first_batch(settings: Settings, publish: Publish) -> None:
    publish("first", 2)
    found = read.batches(settings, "photos")
    publish("second", 5)
    assert counts(pa.Table.from_batches(found), "run_id") == {"first": 2}


def test_an_earlier_snapshot_is_read_by_its_id(settings: Settings, photos: Table, publish: Publish) -> None:
    earlier = publish("first", 2)
    snapshot = photos.refresh().metadata.current_snapshot_id
    publish("second", 5)
    assert counts(read.table(settings, "photos", snapshot=snapshot), "run_id") == {"first": 2}
    assert read.files(settings, "photos", snapshot=snapshot) == earlier
    with pytest.raises(InputError, match=r"^features\.photos: no snapshot 7; it may have expired$"):
        read.batches(settings, "photos", snapshot=7)


# Which rows


def test_partitions_are_read_by_their_keys_and_one_that_never_was_has_no_rows(
    settings: Settings, publish: Publish
) -> None:
    first, second = publish("first", 2), publish("second", 5, partition=NEXT_DAY)
    for partitions, expected in {
        (DAY,): {DAY: 2},
        (NEXT_DAY, DAY): {DAY: 2, NEXT_DAY: 5},
        ("2026-11-04", NEXT_DAY): {NEXT_DAY: 5},
        ("2026-11-04",): {},
        (): {},
    }.items():
        assert counts(read.table(settings, "photos", partitions=partitions), "partition_key") == expected
    assert read.files(settings, "photos", partitions=(NEXT_DAY,)) == second
    assert read.files(settings, "photos") == sorted(first + second)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("label = 'green'", 4),
        ("label = 'green' and uri >= 's3://b/2'", 2),
        (EqualTo("label", "red"), 3),
        ("run_id in ('first', 'third') or width < 3", 3),
        ("etag is null", 7),
        ("etag is not null", 0),
        ("not label = 'green'", 3),
    ],
)
def test_a_condition_may_speak_of_columns_that_are_not_read(
    settings: Settings, publish: Publish, where: Any, expected: int
) -> None:
    publish("first", 3)
    publish("second", 4, partition=NEXT_DAY, label="green")
    rows = read.table(settings, "photos", columns=("uri", "features"), where=where)
    assert (rows.num_rows, rows.schema.names) == (expected, ["uri", "features"])
    of_a_day = read.table(settings, "photos", columns=("label",), where=where, partitions=(DAY,))
    assert set(of_a_day["label"].to_pylist()) <= {"red"}


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("label = ", "where is not a condition: Expected"),
        ("lable = 'red'", "where does not fit the table: .*lable"),
        ("width = 'wide'", "where does not fit the table: .*wide"),
        ("features.element > 1", "where does not fit the table: "),
        ("added_by_hand = 'x'", "where speaks of added_by_hand, which is not read"),
    ],
)
def test_a_condition_that_is_wrong_is_refused_in_one_line(
    settings: Settings, photos: Table, publish: Publish, where: str, words: str
) -> None:
    publish("first", 3)
    with photos.refresh().update_schema() as change:
        change.add_column("added_by_hand", StringType())
    with pytest.raises(InputError, match=rf"^features\.photos: {words}") as refused:
        read.batches(settings, "photos", where=where)
    assert "\n" not in str(refused.value)


# Older files, deleted rows, other writers


def test_a_column_that_older_files_lack_is_null_and_stands_in_its_place(settings: Settings) -> None:
    publish_older_run(settings)
    opened = tables.open_catalog(settings)
    assert read.table(settings, "runs")["reused"].to_pylist() == [None]
    assert "reused" not in opened.load_table("features.runs").schema().column_names  # who reads changes nothing
    newer = read.table(settings, "runs").to_pylist()[0] | {"dataset": "new", "reused": 3, "run_id": "y"}
    rows = pa.Table.from_pylist([newer], schema=schemas.RUNS)
    tables.replace_rows(tables.open_table(opened, settings, "runs"), "x", "new", rows, "y")
    found = list(read.batches(settings, "runs"))
    assert all(batch.schema.equals(schemas.RUNS) for batch in found)
    assert [(run["dataset"], run["reused"]) for run in read.runs(settings)] == [("new", 3), ("old", None)]
    assert read.table(settings, "runs", columns=("reused",)).num_rows == 2
    assert read.table(settings, "runs", columns=("dataset",), where="reused is null")["dataset"].to_pylist() == ["old"]


def test_deleted_rows_are_not_read(settings: Settings, photos: Table, publish: Publish) -> None:
    first, _ = publish("first", 5, 2000)
    kept = publish("second", 4, partition=NEXT_DAY)
    before = read.table(settings, "photos")
    delete_rows(photos, first, [0, 3])
    after = read.table(settings, "photos")
    assert after.num_rows == before.num_rows - 2 == 2007
    assert photos.refresh().scan().to_arrow().num_rows == 2007
    assert after.equals(pa.concat_tables([before.slice(1, 2), before.slice(4)]))
    assert max(batch.num_rows for batch in read.batches(settings, "photos")) <= read.BATCH_ROWS
    chosen = read.table(settings, "photos", columns=("run_id",), where="uri = 's3://b/3'")
    assert counts(chosen, "run_id") == {"first": 1, "second": 1}
    with pytest.raises(InputError, match=f"^{first}: rows of it were deleted"):
        read.files(settings, "photos")
    assert read.files(settings, "photos", partitions=(NEXT_DAY,)) == kept


def test_a_file_whose_address_only_other_writers_would_write_is_read_too(
    settings: Settings, photos: Table, tmp_path: Path
) -> None:
    file = features_file(tmp_path, "spark").replace("file://", "file:")
    tables.replace_files(photos, DAY, [file], "spark")
    assert read.table(settings, "photos").equals(by_iceberg(photos))
    assert read.table(settings, "photos").num_rows == 3


# Nothing there


def test_where_nothing_was_ever_published_the_shared_tables_are_empty_and_nothing_is_made(
    settings: Settings, tmp_path: Path
) -> None:
    assert read.runs(settings) == read.runs(settings, "photos") == read.files(settings, "quarantine") == []
    for name, schema in schemas.TABLES.items():
        assert list(read.batches(settings, name)) == []
        assert read.table(settings, name).equals(schema.empty_table())
    with pytest.raises(InputError, match=r"^features\.photos: no such dataset is published; nothing is published yet$"):
        read.batches(settings, "photos")
    assert list(Path(settings.lake.removeprefix("file://")).iterdir()) == []
    tables.open_catalog(settings)
    assert read.runs(settings) == []
    with pytest.raises(InputError, match="nothing is published yet"):
        read.table(settings, "photos")
    assert tables.open_catalog(settings).list_tables("features") == []


@pytest.mark.usefixtures("photos")
def test_a_table_without_a_snapshot_is_empty_and_an_unknown_dataset_is_told_of_those_there_are(
    settings: Settings,
) -> None:
    tables.open_table(tables.open_catalog(settings), settings, "runs")
    assert list(read.batches(settings, "photos")) == read.files(settings, "photos") == []
    assert read.table(settings, "photos", columns=("uri", "features")).schema.names == ["uri", "features"]
    for name in ("photo", "no.such", ""):
        with pytest.raises(InputError, match=rf"^features\.{name}: no such dataset is published; there are: photos$"):
            read.table(settings, name)


# Damage


def test_a_damaged_file_is_an_error_and_never_other_numbers(settings: Settings, photos: Table, tmp_path: Path) -> None:
    file = features_file(tmp_path, "first", rows=200)
    path = Path(file.removeprefix("file://"))
    noise = np.random.default_rng(0).random((200, 4), np.float32)
    features = pa.ListArray.from_arrays(np.arange(0, 804, 4, dtype=np.int32), noise.reshape(-1))
    written = pq.read_table(path)
    written = written.set_column(11, schemas.FEATURES.field("features"), features.cast(schemas.FEATURES.types[11]))
    pq.write_table(written, path, use_dictionary=False, write_page_checksum=True)
    tables.replace_files(photos, DAY, [file], "first")
    assert np.array_equal(read.vectors(read.table(settings, "photos")), noise)
    whole = bytearray(path.read_bytes())
    place = bytes(whole).index(noise[100].tobytes())
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises((OSError, pa.ArrowException), match=r"CRC|checksum"):
        read.table(settings, "photos")
    path.unlink()
    with pytest.raises(storage.ObjectMissing):
        read.table(settings, "photos")


def test_whoever_breaks_off_leaves_no_thread_behind(settings: Settings, publish: Publish) -> None:
    publish("first", *[2] * 40)
    before = set(threading.enumerate())
    found = read.batches(settings, "photos")
    assert set(threading.enumerate()) == before
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) == before


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
    columns = [pa.repeat(constant[name][0], count) for name in constant.column_names[:11]]
    table = pa.table([*columns, features, pa.repeat("first", count)], schema=schemas.FEATURES)
    pq.write_table(table, path, compression=compression, use_dictionary=False, row_group_size=count)
    return f"file://{path}"


@pytest.mark.parametrize("how", ["many files", "one file"])
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
    assert how == "many files" or (tmp_path / "large.parquet").stat().st_size > read.LARGE_FILE
    assert total == pytest.approx(part * VECTORS / 512)
    assert last - first < VECTORS_MIB / 2


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


# As pyiceberg reads


@pytest.mark.parametrize("name", ["photos", "quarantine", "runs"])
def test_every_value_of_the_lake_of_an_earlier_version_is_as_pyiceberg_reads_it(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    lakes.lay_out("0.1.0", tmp_path)
    table = tables.open_catalog(settings).load_table(f"features.{name}")
    for snapshot in (None, *(snapshot.snapshot_id for snapshot in table.snapshots())):
        found, expected = read.table(settings, name, snapshot=snapshot), by_iceberg(table, snapshot)
        assert found.num_rows > 0
        assert in_order(found) == in_order(expected)


def in_order(rows: pa.Table) -> list[dict[str, Any]]:
    return sorted(rows.to_pylist(), key=lambda row: (row["partition_key"], row.get("uri")))


def test_runs_come_in_order_of_dataset_and_newest_partition_first(settings: Settings, tmp_path: Path) -> None:
    lakes.lay_out("0.1.0", tmp_path)
    kept = read.runs(settings)
    table = tables.open_table(tables.open_catalog(settings), settings, "runs")
    for dataset in ("other", "apples"):
        rows: Iterable[dict[str, Any]] = [kept[0] | {"dataset": dataset, "run_id": dataset}]
        tables.replace_rows(table, "2026-11-02", dataset, pa.Table.from_pylist(rows, schema=schemas.RUNS), dataset)
    found = [(run["dataset"], run["partition_key"]) for run in read.runs(settings)]
    assert found == [
        ("apples", "2026-11-02"),
        ("other", "2026-11-02"),
        ("photos", "2026-11-02"),
        ("photos", "2026-11-01"),
    ]
    assert read.runs(settings, "photos") == kept
    assert list(kept[0]) == schemas.RUNS.names
    assert read.runs(settings, "it's none") == []


def test_a_lake_in_an_object_store_is_read_in_the_same_way(
    s3: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_LAKE", "s3://images/lake")
    there = Settings.from_env()
    table = tables.open_table(tables.open_catalog(there), there, "photos")
    files = []
    for at, count in enumerate((5, 2000, 7)):
        file = Path(features_file(tmp_path, "first", rows=count).removeprefix("file://"))
        files.append(f"s3://images/lake/warehouse/features/photos/data/{at}.parquet")
        storage.write(files[-1], file.read_bytes())
    tables.replace_files(table, DAY, files, "first")
    rows = read.table(there, "photos", where="uri < 's3://b/3'")
    assert rows.num_rows == sum(f"s3://b/{at}" < "s3://b/3" for count in (5, 2000, 7) for at in range(count))
    assert read.vectors(rows).shape == (rows.num_rows, 4)
    assert read.files(there, "photos") == files
