"""read: files of older versions and other writers, deleted rows, damage, a lake in an object store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.table import Table

from imagefeatures import read, schemas, storage
from imagefeatures.catalog import tables
from imagefeatures.errors import CatalogRefused, InputError
from imagefeatures.settings import Settings
from support import lakes
from support.publishing import DAY, delete_rows, features_file, publish_older_run
from support.reading import NEXT_DAY, Publish, by_iceberg, counts, in_order, photos_table, publisher


@pytest.fixture
def photos(settings: Settings) -> Table:
    """The empty table features.photos."""
    return photos_table(settings)


@pytest.fixture
def publish(photos: Table, tmp_path: Path) -> Publish:
    """publish(run_id, rows, …, partition=…): a file for each count of rows takes the partition's place."""
    return publisher(photos, tmp_path)


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
    with pytest.raises(CatalogRefused, match=r"^features\.photos: a file of it cannot be read \(.*(CRC|checksum)"):
        read.table(settings, "photos")
    path.unlink()
    with pytest.raises(
        CatalogRefused, match=rf"^features\.photos: a file of it is missing \({path}\); `.*imagefeatures rep"
    ):
        read.table(settings, "photos")


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
    on_s3 = Settings.from_env()
    table = tables.open_table(tables.open_catalog(on_s3), on_s3, "photos")
    files = []
    for at, count in enumerate((5, 2000, 7)):
        file = Path(features_file(tmp_path, "first", rows=count).removeprefix("file://"))
        files.append(f"s3://images/lake/warehouse/features/photos/data/{at}.parquet")
        storage.write(files[-1], file.read_bytes())
    tables.replace_files(table, DAY, files, "first")
    rows = read.table(on_s3, "photos", where="uri < 's3://b/3'")
    assert rows.num_rows == sum(f"s3://b/{at}" < "s3://b/3" for count in (5, 2000, 7) for at in range(count))
    assert read.vectors(rows).shape == (rows.num_rows, 4)
    assert read.files(on_s3, "photos") == files
