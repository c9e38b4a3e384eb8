"""A run that is taken back leaves the rows that it had replaced, and nobody else's rows are touched."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import RemoveSnapshotsUpdate
from pyiceberg.types import StringType

from imagefeatures import schemas
from imagefeatures.catalog import tables, undo
from imagefeatures.settings import Settings
from support.publishing import DAY, features_file

NEXT_DAY = "2026-11-03"


@pytest.fixture
def photos(settings: Settings) -> tables.Table:
    return tables.open_table(tables.open_catalog(settings), settings, "photos")


@pytest.fixture
def quarantine(settings: Settings) -> tables.Table:
    return tables.open_table(tables.open_catalog(settings), settings, "quarantine")


def publish(table: tables.Table, folder: Path, run_id: str, day: str = DAY, rows: int = 1) -> None:
    tables.replace_files(table, day, [features_file(folder, run_id, day, rows)], run_id)


def reject(table: tables.Table, run_id: str, count: int, dataset: str = "photos") -> None:
    row = {"partition_key": DAY, "dataset": dataset, "step": "ingest", "reason": "CORRUPT", "detail": "x",
           "run_id": run_id, "quarantined_at": 0}  # fmt: skip
    rows = pa.Table.from_pylist([row | {"uri": f"s3://b/{n}"} for n in range(count)], schema=schemas.QUARANTINE)
    tables.replace_rows(table, DAY, dataset, rows, run_id)


def held(table: tables.Table) -> dict[tuple[str, str], int]:
    """(partition, run_id) to the number of rows."""
    rows = table.refresh().scan().to_arrow()
    return dict(Counter(zip(rows["partition_key"].to_pylist(), rows["run_id"].to_pylist(), strict=True)))


def test_the_first_run_of_a_table_leaves_it_empty(
    photos: tables.Table, quarantine: tables.Table, tmp_path: Path
) -> None:
    publish(photos, tmp_path, "one")
    reject(quarantine, "one", 2)
    assert undo.take_back(photos, DAY, "one")
    assert undo.take_back(quarantine, DAY, "one", "photos")
    assert held(photos) == held(quarantine) == {}
    assert not undo.take_back(photos, DAY, "one")  # once is all
    assert not undo.take_back(quarantine, DAY, "one", "photos")


def test_files_come_back_beside_those_of_another_day(photos: tables.Table, tmp_path: Path) -> None:
    publish(photos, tmp_path, "other", NEXT_DAY, rows=4)
    publish(photos, tmp_path, "one", rows=2)
    files = {task.file.file_path for task in photos.scan().plan_files()}
    publish(photos, tmp_path, "two", rows=3)
    assert not undo.take_back(photos, DAY, "one")
    assert not undo.take_back(photos, NEXT_DAY, "two")
    assert held(photos) == {(NEXT_DAY, "other"): 4, (DAY, "two"): 3}
    assert undo.take_back(photos, DAY, "two")
    assert held(photos) == {(NEXT_DAY, "other"): 4, (DAY, "one"): 2}
    assert {task.file.file_path for task in photos.scan().plan_files()} == files  # none was written anew


def test_rows_come_back_beside_those_of_another_dataset(quarantine: tables.Table) -> None:
    reject(quarantine, "other", 4, "nuts")
    reject(quarantine, "one", 2)
    reject(quarantine, "two", 3)
    assert undo.take_back(quarantine, DAY, "two", "photos")
    assert held(quarantine) == {(DAY, "other"): 4, (DAY, "one"): 2}


def test_a_partition_that_was_empty_is_empty_again(
    photos: tables.Table, quarantine: tables.Table, tmp_path: Path
) -> None:
    publish(photos, tmp_path, "other", NEXT_DAY)
    publish(photos, tmp_path, "one")
    reject(quarantine, "other", 1, "nuts")
    reject(quarantine, "one", 1)
    assert undo.take_back(photos, DAY, "one")
    assert undo.take_back(quarantine, DAY, "one", "photos")
    assert held(photos) == {(NEXT_DAY, "other"): 1}
    assert held(quarantine) == {(DAY, "other"): 1}


def test_what_others_have_done_since_then_stays(photos: tables.Table, tmp_path: Path) -> None:
    """Snapshots that no run has signed, before and after the run's own."""
    publish(photos, tmp_path, "one", rows=2)
    for day in ("2026-11-04", "2026-11-05"):
        with photos.transaction() as change:
            change.add_files([features_file(tmp_path, "spark", day)])
        if day.endswith("04"):
            publish(photos, tmp_path, "two", rows=3)
    assert undo.take_back(photos, DAY, "two")
    assert held(photos) == {(DAY, "one"): 2, ("2026-11-04", "spark"): 3, ("2026-11-05", "spark"): 3}


def test_a_partition_of_two_runs_is_left_as_it_is(photos: tables.Table, tmp_path: Path) -> None:
    publish(photos, tmp_path, "one")
    with photos.transaction() as change:
        change.add_files([features_file(tmp_path, "spark")])
    assert not undo.take_back(photos, DAY, "one")
    assert held(photos) == {(DAY, "one"): 1, (DAY, "spark"): 3}


def test_where_the_past_has_expired_nothing_is_changed(photos: tables.Table, tmp_path: Path) -> None:
    publish(photos, tmp_path, "one", rows=2)
    publish(photos, tmp_path, "two", rows=3)
    newest = photos.refresh().current_snapshot().snapshot_id
    gone = [snapshot.snapshot_id for snapshot in photos.snapshots() if snapshot.snapshot_id != newest]
    with photos.transaction() as change:
        change._apply((RemoveSnapshotsUpdate(snapshot_ids=gone),))
    assert not undo.take_back(photos, DAY, "two")
    assert held(photos) == {(DAY, "two"): 3}


def test_a_run_whose_own_commit_has_expired_is_left_as_it_is(photos: tables.Table, tmp_path: Path) -> None:
    publish(photos, tmp_path, "one", rows=2)
    first = photos.refresh().current_snapshot()
    publish(photos, tmp_path, "other", NEXT_DAY)
    with photos.transaction() as change:
        change._apply((RemoveSnapshotsUpdate(snapshot_ids=[first.snapshot_id]),))
    assert not undo.take_back(photos, DAY, "one")
    assert held(photos) == {(DAY, "one"): 2, (NEXT_DAY, "other"): 1}


def test_a_snapshot_without_a_summary_is_no_runs() -> None:
    """As format 1 allows it, and another writer may leave one."""
    assert not undo._is_signed(Snapshot(snapshot_id=1, timestamp_ms=0, manifest_list="list.avro"), "one")


def test_files_with_a_column_that_the_table_has_no_more_come_back(photos: tables.Table, tmp_path: Path) -> None:
    publish(photos, tmp_path, "one", rows=2)
    with photos.update_schema() as change:
        change.add_column("fold", StringType())
    rows = photos.scan().to_arrow()
    at = rows.schema.get_field_index("fold")
    photos.overwrite(rows.set_column(at, "fold", pa.array(["a", "b"])))
    with photos.update_schema() as change:
        change.delete_column("fold")
    before = photos.refresh().scan().to_arrow()
    publish(photos, tmp_path, "two")
    assert held(photos) == {(DAY, "two"): 1}
    assert undo.take_back(photos, DAY, "two")
    assert photos.refresh().scan().to_arrow().equals(before)
