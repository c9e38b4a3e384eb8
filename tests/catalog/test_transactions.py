"""What a commit costs beside the table's past: metadata is worked out once for each change, a file of it read once."""

from __future__ import annotations

from collections import Counter

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table, TableProperties, Transaction
from pyiceberg.table.metadata import TableMetadataV2
from pyiceberg.table.snapshots import Snapshot

from imagefeatures.catalog import file_io, tables
from imagefeatures.catalog.sql_catalog import LakeSqlCatalog
from imagefeatures.catalog.transactions import Changes
from imagefeatures.settings import Settings
from support.growing import run_file, runs_row
from support.publishing import DAY


@pytest.fixture
def table(settings: Settings) -> Table:
    return tables.open_table(tables.open_catalog(settings), settings, "photos")


def publish(settings: Settings, table: Table, run_id: str, partition: str = DAY) -> None:
    assert tables.replace_files(table, partition, [run_file(settings, run_id, partition)], run_id)


def test_the_metadata_is_what_pyiceberg_works_out(settings: Settings, table: Table) -> None:
    publish(settings, table, "run-1")
    before = table.metadata.model_dump_json()
    own, usual = Changes(table), Transaction(table)
    for change in (own, usual):
        change.set_properties({"a": "1"})
        change.remove_properties("a")
        change.set_properties({TableProperties.COMMIT_NUM_RETRIES: "0", "b": "2"})
        change.update_schema().add_column("more", table.schema().find_type("label")).commit()
    assert own.table_metadata.model_copy(update={"last_updated_ms": 0}) == usual.table_metadata.model_copy(
        update={"last_updated_ms": 0}
    )
    assert own.table_metadata.last_updated_ms >= table.metadata.last_updated_ms
    assert own.table_metadata.properties["b"] == "2"
    assert table.metadata.model_dump_json() == before, "the table is as it was until the commit"


def test_the_metadata_is_worked_out_once_for_each_change(settings: Settings, table: Table) -> None:
    publish(settings, table, "run-1")
    change = Changes(table)
    first = change.table_metadata
    assert change.table_metadata is first
    change.set_properties({"a": "1"})
    second = change.table_metadata
    assert second is not first
    assert change.table_metadata is second
    assert second.properties["a"] == "1"
    publish(settings, table, "run-2")  # the table that the transaction holds is refreshed by that
    assert change.table_metadata.current_snapshot_id == table.metadata.current_snapshot_id
    assert change.table_metadata.properties["a"] == "1"


def test_a_publication_copies_no_snapshot_of_the_past(
    settings: Settings, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: Counter[str] = Counter()
    original = Snapshot.__deepcopy__

    def counted(self: Snapshot, memo: dict[int, object] | None = None) -> Snapshot:
        copied["snapshots"] += 1
        return original(self, memo)

    publish(settings, table, "run-1")
    monkeypatch.setattr(Snapshot, "__deepcopy__", counted)
    for number in range(2, 8):
        copied.clear()
        publish(settings, table, f"run-{number}", f"day-{number}")
        assert copied["snapshots"] == 0
        assert number == len(table.metadata.snapshots)
    copied.clear()
    Transaction(table).table_metadata  # noqa: B018 - the property does the work
    assert copied["snapshots"] == 7, "what is counted is what pyiceberg's own does"


def test_what_is_committed_is_what_pyiceberg_commits(settings: Settings, table: Table) -> None:
    publish(settings, table, "run-1")
    change = Changes(table)
    change.set_properties({"a": "1"})
    with change.update_schema() as update:
        update.add_column("more", table.schema().find_type("label"))
    staged = [
        kind._update_and_stage_table(table.catalog, table, table.name(), change._requirements, change._updates)
        for kind in (LakeSqlCatalog, SqlCatalog)
    ]
    own, usual = (one.metadata.model_copy(update={"last_updated_ms": 0}) for one in staged)
    assert own == usual
    assert own.metadata_log[-1].metadata_file == table.metadata_location
    names = [one.metadata_location.rpartition("/") for one in staged]
    assert [(folder, name[:6]) for folder, _, name in names] == [(names[0][0], "00002-")] * 2
    assert staged[0].metadata_location != staged[1].metadata_location
    assert staged[0].name() == table.name()


def test_a_commit_whose_table_has_changed_meanwhile_is_refused(settings: Settings, table: Table) -> None:
    publish(settings, table, "run-1")
    change = Changes(table)
    change.add_files([run_file(settings, "late", "day-2")])
    publish(settings, tables.open_table(tables.open_catalog(settings), settings, "photos"), "run-2", "day-3")
    with pytest.raises(CommitFailedException):
        change.commit_transaction()


def test_a_metadata_file_is_read_once_and_the_catalog_asked_each_time(
    settings: Settings, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings, table, "run-1")
    read: Counter[str] = Counter()
    original = file_io.LakeFileIO.new_input

    def counted(self: file_io.LakeFileIO, location: str) -> object:
        read[location] += location.endswith(".metadata.json")
        return original(self, location)

    monkeypatch.setattr(file_io.LakeFileIO, "new_input", counted)
    catalog = tables.open_catalog(settings)
    seen = [catalog.load_table(("features", "photos")) for _ in range(5)]
    assert +read == {seen[0].metadata_location: 1}
    assert len({id(one) for one in seen}) == 5, "each is its holder's own: a refresh of one changes no other"
    publish(settings, table, "run-2")  # by another connection
    assert catalog.load_table(("features", "photos")).metadata_location == table.metadata_location
    assert seen[0].metadata.current_snapshot_id != table.metadata.current_snapshot_id
    seen[0].refresh()
    assert seen[0].metadata == table.metadata
    assert seen[1].metadata != table.metadata


def test_a_row_of_runs_is_found_after_another_connection_has_replaced_it(settings: Settings) -> None:
    first, second = tables.open_catalog(settings), tables.open_catalog(settings)
    for number, catalog in enumerate((first, second, first)):
        runs = tables.open_table(catalog, settings, "runs")
        tables.replace_rows(runs, DAY, "photos", runs_row("photos", f"run-{number}"), f"run-{number}")
        for each in (first, second):
            row = tables.published(each, settings, "photos", DAY)
            assert row is not None
            assert row["run_id"] == f"run-{number}"


def test_a_table_of_the_tests_is_of_the_version_whose_updates_are_applied(table: Table) -> None:
    assert isinstance(table.metadata, TableMetadataV2)
