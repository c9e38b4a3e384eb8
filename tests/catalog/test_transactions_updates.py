"""What updates make of a table's metadata: when it was changed last, its log, and what does not fit its schema."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import pytest
from pyiceberg.exceptions import ValidationError
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.sorting import SortDirection, SortField, SortOrder
from pyiceberg.table.update import AddSchemaUpdate, SetCurrentSchemaUpdate, SetPropertiesUpdate
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import StringType

from imagefeatures.catalog import tables, transactions
from imagefeatures.catalog.transactions import Changes, with_updates
from imagefeatures.settings import Settings
from support.growing import run_file
from support.publishing import DAY

BEFORE = "file:///lake/00001-a.metadata.json"


@pytest.fixture
def table(settings: Settings) -> Table:
    opened = tables.open_table(tables.open_catalog(settings), settings, "photos")
    tables.replace_files(opened, DAY, [run_file(settings, "first")], "first")
    return opened


@pytest.fixture
def _later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "time", SimpleNamespace(time=lambda: 2_000_000_000.5))


@pytest.mark.usefixtures("_later")
def test_changed_metadata_has_the_time_of_the_change_and_a_log_of_what_was_committed(table: Table) -> None:
    base, change = table.metadata, SetPropertiesUpdate(updates={"a": "1"})
    made = with_updates(base, (change,))
    assert (made.properties["a"], made.last_updated_ms) == ("1", 2_000_000_000_500)
    assert made.metadata_log == base.metadata_log
    committed = with_updates(base, (change,), BEFORE)
    assert [entry.metadata_file for entry in committed.metadata_log[len(base.metadata_log) :]] == [BEFORE]
    assert committed.metadata_log[-1].timestamp_ms == base.last_updated_ms


@pytest.mark.usefixtures("_later")
def test_without_updates_the_metadata_is_the_tables_own(table: Table) -> None:
    assert with_updates(table.metadata, ()) is table.metadata
    assert with_updates(table.metadata, (), BEFORE) is table.metadata


@pytest.mark.usefixtures("_later")
def test_a_snapshot_says_itself_when_it_was_made(table: Table, settings: Settings) -> None:
    change = Changes(table)
    change.add_files([run_file(settings, "next", "2026-11-03")])
    snapshot = change.table_metadata.current_snapshot()
    assert snapshot
    assert change.table_metadata.last_updated_ms == snapshot.timestamp_ms


def without(table: Table, column: str) -> tuple[AddSchemaUpdate, SetCurrentSchemaUpdate]:
    """Updates by which a table loses a column."""
    fields = [field for field in table.schema().fields if field.name != column]
    return AddSchemaUpdate(schema_=Schema(*fields, schema_id=1)), SetCurrentSchemaUpdate(schema_id=-1)


def test_a_column_by_which_a_table_is_partitioned_or_sorted_must_stay(table: Table) -> None:
    assert with_updates(table.metadata, without(table, "width")).schema().column_names[-1] != "width"
    with pytest.raises(ValidationError):
        with_updates(table.metadata, without(table, "partition_key"))
    field = table.schema().find_field("width")
    order = SortOrder(SortField(field.field_id, IdentityTransform(), direction=SortDirection.ASC), order_id=1)
    is_sorted = table.metadata.model_copy(update={"sort_orders": [order], "default_sort_order_id": 1})
    assert with_updates(is_sorted, without(table, "height"))
    with pytest.raises(ValidationError):
        with_updates(is_sorted, without(table, "width"))


def refused_by_java(metadata: TableMetadata) -> bool:
    """Whether Iceberg's Java refuses to read it: it allows times to go back by a minute at most."""
    logs = [entry.timestamp_ms for entry in metadata.snapshot_log], [one.timestamp_ms for one in metadata.metadata_log]
    return any(
        later < earlier - 60_000 for log in logs for earlier, later in pairwise([*log, metadata.last_updated_ms])
    )


def take_away(table: Table, settings: Settings) -> None:
    tables.replace_files(table, DAY, [], "third")


def add_a_property(table: Table, settings: Settings) -> None:
    with Changes(table) as change:
        change.set_properties({"a": "1"})


def add_a_column(table: Table, settings: Settings) -> None:
    with table.update_schema() as update:
        update.add_column("more", StringType())


def tag_it(table: Table, settings: Settings) -> None:
    with table.manage_snapshots() as change:
        change.create_tag(table.metadata.snapshots[-1].snapshot_id, "mine")


def replace_it(table: Table, settings: Settings) -> None:
    tables.replace_files(table, DAY, [run_file(settings, "third")], "third")


@pytest.mark.parametrize("seconds", [61, 7_200, 86_400 * 365])
@pytest.mark.parametrize("commit", [replace_it, take_away, add_a_property, add_a_column, tag_it])
def test_a_clock_that_goes_back_takes_the_table_from_no_reader(
    commit: Callable[[Table, Settings], None],
    seconds: int,
    table: Table,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time() + 10
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: now + seconds)
        tables.replace_files(table, "2026-11-03", [run_file(settings, "second", "2026-11-03")], "second")
    latest = table.metadata.last_updated_ms
    assert latest == int((now + seconds) * 1000)
    commit(table, settings)
    assert not refused_by_java(table.refresh().metadata)
    assert table.metadata.last_updated_ms == latest, "time stands still until the clock has caught up"
    with monkeypatch.context() as caught_up:
        caught_up.setattr(time, "time", lambda: now + seconds + 1)
        tables.replace_files(table, DAY, [run_file(settings, "fourth")], "fourth")
    assert table.metadata.last_updated_ms == latest + 1000
    assert not refused_by_java(table.metadata)
