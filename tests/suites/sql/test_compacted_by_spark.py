"""A table whose files Spark has rewritten: upkeep sweeps it, it is read, reused and forgotten from as before."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pytest
from pyiceberg.table import Table

from imagefeatures import names
from imagefeatures.catalog import tables
from imagefeatures.catalog.file_io import checksums_of, plain_uri
from imagefeatures.datasets import Dataset
from imagefeatures.forget import work as forgetting
from imagefeatures.settings import Settings
from imagefeatures.upkeep import work
from support.forgetting import request
from support.growing import folder_of, read_whole_past
from support.photos import fill, jpeg
from support.redriving import Partition
from support.sql_shell import spark_sql
from support.upkeep_model import named, stored

COUNT = 5
REWRITTEN = (
    f"CALL {names.CATALOG}.system.rewrite_data_files(table => 'features.photos', options => map('rewrite-all', 'true'))"
)


@pytest.fixture
def partition(on_sqlite: Settings, tmp_path: Path) -> Partition:
    """Five pictures and an empty object, published in files of two pictures."""
    photos = fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(COUNT)} | {"bad.jpg": b""})
    dataset = Dataset.model_validate({"name": "photos", "source": f"file://{photos}/"})
    made = Partition(dataset, on_sqlite)
    made.publish(shard_images=2)
    return made


def compacted(settings: Settings) -> tuple[Table, set[str], str]:
    """Have Spark rewrite features.photos. Returns the table, the URIs of its files before, and the one after."""
    table = tables.open_catalog(settings).load_table("features.photos")
    apart = {task.file.file_path for task in table.scan().plan_files()}
    head, counts = spark_sql(REWRITTEN)
    assert dict(zip(head, counts, strict=True))["rewritten_data_files_count"] == str(len(apart))
    assert len(apart) > 1
    table.refresh()
    (uri,) = (task.file.file_path for task in table.scan().plan_files())
    assert uri.startswith("file:/") and not uri.startswith("file://")
    return table, apart, plain_uri(uri)


def path_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def test_what_spark_has_compacted_is_swept_read_and_reused(on_sqlite: Settings, partition: Partition) -> None:
    before = partition.features
    table, apart, _ = compacted(on_sqlite)
    stray = folder_of(table) / "data" / "left.parquet"
    stray.write_bytes(b"abc")
    report = work.upkeep(on_sqlite, dry_run=False, now=dt.datetime.now(dt.UTC) + dt.timedelta(days=100))
    assert report.refused == []
    assert not stray.exists()
    table.refresh()
    assert stored(table).keys() == named(table)
    assert all(path_of(uri).exists() for uri in apart)  # the run's tag still names them
    assert partition.features == before
    assert read_whole_past(table) == [COUNT, COUNT]
    partition.publish()
    assert (partition.run["registered"], partition.run["reused"]) == (COUNT, COUNT)
    partition.check()


def test_what_spark_has_compacted_is_forgotten_from(on_sqlite: Settings, partition: Partition) -> None:
    image_id = hashlib.sha256(jpeg(1)).hexdigest()
    left = {uri: row for uri, row in partition.features.items() if row["image_id"] != image_id}
    table, apart, one = compacted(on_sqlite)
    assert path_of(checksums_of(one)).exists()
    (report,) = forgetting.forget(request([image_id]), "ada", on_sqlite)
    assert report.unreadable == set()
    assert not [uri for uri in (one, checksums_of(one)) if path_of(uri).exists()]
    assert partition.features == left
    table.refresh()
    there = {path for path in stored(table) if path.endswith((".avro", ".parquet"))}
    assert there == {path for path in named(table) if not path.endswith(".json")}  # no file of the past
    assert len(there & {str(path_of(uri)) for uri in apart}) == 0
    for snapshot in table.snapshots():
        assert image_id not in table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()["image_id"].to_pylist()
    report_of_upkeep = work.upkeep(on_sqlite, dry_run=False, now=dt.datetime.now(dt.UTC) + dt.timedelta(days=100))
    assert report_of_upkeep.refused == []
    partition.publish()
    assert (partition.run["registered"], partition.run["reused"]) == (COUNT - 1, COUNT - 1)
