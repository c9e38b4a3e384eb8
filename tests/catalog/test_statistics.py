"""The table of statistics: rows of partitions replaced, read and taken out, and nothing left of its past."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tenacity
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from imagefeatures import names, schemas, storage
from imagefeatures.catalog import retention, statistics, tables
from imagefeatures.errors import InputError
from imagefeatures.settings import Settings
from support.growing import folder_of, read_whole_past, unnamed_files
from support.measured import clouds, publish
from support.relocating import path_of

FIRST, SECOND = "2026-11-01", "2026-11-02"
LONG_AGO = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)


@pytest.fixture
def catalog(settings: Settings) -> Catalog:
    return tables.open_catalog(settings)


@pytest.fixture
def table(catalog: Catalog, settings: Settings) -> Table:
    return tables.open_table(catalog, settings, names.STATISTICS)


def rows(
    run_id: str, day: str = FIRST, dataset: str = "photos", count: int = 1, when: dt.datetime = LONG_AGO
) -> pa.Table:
    """Rows of statistics of a run, one for each of its tables."""
    blank = {pa.int64(): 0, pa.float64(): 0.0, pa.string(): "x"}
    row = {
        field.name: None if field.nullable else [] if pa.types.is_nested(field.type) else blank.get(field.type, when)
        for field in schemas.STATISTICS
    }
    own = {"dataset": dataset, "partition_key": day, "run_id": run_id}
    return pa.Table.from_pylist([row | own | {"table": f"{at}"} for at in range(count)], schema=schemas.STATISTICS)


def replace(table: Table, run_id: str, day: str = FIRST, **given: Any) -> None:
    statistics.replace(table, rows(run_id, day, **given), lambda: None)


def runs(table: Table) -> list[str]:
    return sorted(table.refresh().scan().to_arrow()["run_id"].to_pylist())


def files(table: Table) -> set[str]:
    return {task.file.file_path for task in table.refresh().scan().plan_files()}


def stored(table: Table) -> set[str]:
    return {f"file://{path}" for path in (folder_of(table) / "data").rglob("*.parquet")}


def test_reading_what_is_not_there_makes_no_table(catalog: Catalog, settings: Settings) -> None:
    assert statistics.rows_of(catalog, "photos", [FIRST]) == []
    assert statistics.runs_of(catalog) == {}
    assert statistics.remove(catalog, "photos", FIRST, "x") is False
    statistics.forget_past(catalog, settings.lake, [("photos", FIRST)])
    assert not catalog.table_exists("features.statistics")


def test_the_rows_of_partitions_are_read_whole_or_in_some_columns(catalog: Catalog, table: Table) -> None:
    replace(table, "one", count=2)
    replace(table, "two", SECOND)
    replace(table, "three", dataset="birds")
    (row,) = statistics.rows_of(catalog, "photos", [SECOND])
    assert row == rows("two", SECOND).to_pylist()[0]
    both = statistics.rows_of(catalog, "photos", [FIRST, SECOND], ("run_id", "table"))
    assert sorted(map(tuple, (row.values() for row in both))) == [("one", "0"), ("one", "1"), ("two", "0")]
    assert statistics.rows_of(catalog, "photos", []) == []
    assert statistics.runs_of(catalog) == {
        ("photos", FIRST): {"one"}, ("photos", SECOND): {"two"}, ("birds", FIRST): {"three"},
    }  # fmt: skip


def test_rows_take_the_place_of_their_partitions_own(
    catalog: Catalog, table: Table, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenacity.nap.time, "sleep", lambda _: pytest.fail("a commit was lost: nothing was looked at"))
    stale = tables.open_table(catalog, settings, names.STATISTICS)
    replace(table, "one", count=2)
    replace(table, "two", SECOND)
    replace(table, "other", dataset="birds")
    replace(stale, "again", count=2)
    assert runs(table) == ["again", "again", "other", "two"]
    snapshot = table.current_snapshot()
    assert snapshot and snapshot.summary
    assert snapshot.summary["imagefeatures.run-id"] == "again"


def test_what_a_check_raises_ends_a_replacement(table: Table) -> None:
    def refused() -> None:
        raise InputError("no")

    replace(table, "one")
    with pytest.raises(InputError, match=r"^no$"):
        statistics.replace(table, rows("two"), refused)
    assert runs(table) == ["one"]


def test_old_snapshots_expire_with_a_replacement(table: Table) -> None:
    replace(table, "one")
    with table.transaction() as change:
        change.set_properties({retention.KEEP_DAYS: "0"})
    replace(table, "two")
    first = table.refresh().metadata.snapshots[0].snapshot_id
    replace(table, "three")
    assert first not in {snapshot.snapshot_id for snapshot in table.refresh().snapshots()}


def test_the_rows_of_a_partition_are_taken_out_once(catalog: Catalog, table: Table) -> None:
    replace(table, "one", count=2)
    replace(table, "two", SECOND)
    assert statistics.remove(catalog, "photos", FIRST, "withdrawal") is True
    assert runs(table) == ["two"]
    assert statistics.remove(catalog, "photos", FIRST, "withdrawal") is False


def test_a_dataset_of_an_earlier_version_that_is_called_so_is_no_statistics(
    catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # as that version had it
        patch.setattr(names, "SHARED", (names.QUARANTINE, names.RUNS))
        patch.delitem(schemas.TABLES, names.STATISTICS)
        publish(settings, FIRST, clouds(0, 3), name=names.STATISTICS)
    assert statistics.rows_of(catalog, names.STATISTICS, [FIRST]) == []
    assert statistics.remove(catalog, names.STATISTICS, FIRST, "x") is False


def left_beside(uri: str) -> str:
    """A copy of a file, which no snapshot names."""
    place = path_of(uri).with_name(f"left-{path_of(uri).name}")
    place.write_bytes(path_of(uri).read_bytes())
    return f"file://{place}"


def test_the_past_is_forgotten_and_files_of_commits_that_failed(
    catalog: Catalog, table: Table, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(statistics.time, "sleep", waited.append)
    replace(table, "one")
    replace(table, "other", SECOND)
    (of_second,) = files(table) - (past := {uri for uri in files(table) if is_of(uri, "one")})
    replace(table, "two")
    left, left_of_second = left_beside(past.pop()), left_beside(of_second)
    assert {left, left_of_second} < stored(table) - files(table)
    statistics.forget_past(catalog, settings.lake, [("photos", FIRST)])
    assert stored(table) == files(table) | {left_of_second}
    assert runs(table) == ["other", "two"]
    assert waited == [0.0]
    path_of(left_of_second).unlink()
    assert unnamed_files(table) == set()
    assert len(read_whole_past(table)) == 1


def is_of(uri: str, run_id: str) -> bool:
    return run_id in pq.ParquetFile(path_of(uri)).read()["run_id"].to_pylist()


def test_a_file_that_a_snapshot_only_says_to_have_deleted_is_of_the_past(
    catalog: Catalog, table: Table, settings: Settings
) -> None:
    """The clean-up of the snapshot that had it was interrupted."""
    replace(table, "one", SECOND)
    (deleted,) = files(table)
    first = table.metadata.current_snapshot_id
    assert first
    assert statistics.remove(catalog, "photos", SECOND, "withdrawal")
    table.refresh()
    with table.transaction() as change:
        retention.expire_these(table, change, [first])
        change.remove_properties(retention.PENDING)
    assert path_of(deleted).exists()
    statistics.forget_past(catalog, settings.lake, [("photos", FIRST)])
    assert not path_of(deleted).exists()


def test_a_file_is_left_of_a_commit_of_one_of_the_partitions(
    table: Table, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(statistics.time, "sleep", waited.append)

    def is_left(uri: str, *partitions: tuple[str, str]) -> bool:
        size = path_of(uri).stat().st_size if path_of(uri).exists() else 9
        return statistics._is_left_of(storage.StoredObject(uri, size, ""), partitions)

    uri, now = f"file://{tmp_path}/a.parquet", dt.datetime.now(dt.UTC)
    assert not is_left(uri, ("photos", FIRST)), "it is gone"
    both = [rows("one", when=now - dt.timedelta(seconds=20)), rows("one", when=now - dt.timedelta(seconds=10))]
    pq.write_table(pa.concat_tables(both), path_of(uri))
    assert not is_left(uri, ("photos", SECOND), ("birds", FIRST))
    assert waited == []
    assert is_left(uri, ("photos", SECOND), ("photos", FIRST))
    (seconds,) = waited
    assert statistics.COMMIT_SECONDS == 30
    assert 10 < seconds <= 20, "until no commit can name it"


def test_a_clock_that_went_back_makes_nobody_wait_for_a_file_of_the_future(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(statistics.time, "sleep", waited.append)
    place = tmp_path / "a.parquet"
    pq.write_table(rows("one", when=dt.datetime.now(dt.UTC) + dt.timedelta(days=365)), place)
    stored = storage.StoredObject(f"file://{place}", place.stat().st_size, "")
    assert statistics._is_left_of(stored, [("photos", FIRST)])
    assert waited == [statistics.COMMIT_SECONDS]
