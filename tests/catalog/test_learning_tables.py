"""The tables of the namespace `learning`: made and extended when they are opened, replaced in one commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tenacity
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.types import StringType

from imagefeatures import layout
from imagefeatures.catalog import learning, retention, tables
from imagefeatures.catalog.sql_catalog import LakeSqlCatalog
from imagefeatures.settings import Settings
from support.growing import GROUP, KEPT

SCHEMA = pa.schema([("dataset", pa.string()), ("model_id", pa.string()), ("n", pa.int64())])


def opened(settings: Settings, schema: pa.Schema = SCHEMA) -> Table:
    return learning.open_table(tables.open_catalog(settings), settings, "results", schema)


def row(model_id: str, n: int, dataset: str = "fruit") -> pa.Table:
    return pa.Table.from_pylist([{"dataset": dataset, "model_id": model_id, "n": n}], schema=SCHEMA)


def held(table: Table) -> list[tuple[Any, ...]]:
    table.refresh()
    return sorted(tuple(one.values()) for one in table.scan().to_arrow().to_pylist())


def written(settings: Settings, name: str, n: int) -> str:
    """A data file of the table, with one row."""
    path = Path(f"{layout.table_folder(settings.lake, 'results', 'learning')}/data/{name}".removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(row("m", n), path)
    return f"file://{path}"


def test_a_table_is_made_in_the_lake_with_the_properties_of_all_tables(few: Settings) -> None:
    table = opened(few)
    assert table.name() == ("learning", "results")
    assert table.location() == layout.table_folder(few.lake, "results", "learning")
    expected = tables.TABLE_PROPERTIES | retention.properties(few.retention, {})
    assert {name: table.properties.get(name) for name in expected} == expected
    assert table.schema().column_names == SCHEMA.names


def test_a_table_that_is_there_is_extended_by_what_it_lacks_and_else_left(few: Settings) -> None:
    catalog = tables.open_catalog(few)
    catalog.create_namespace("learning")
    catalog.create_table("learning.results", SCHEMA.remove(2), properties={"mine": "1"})
    table = opened(few)
    assert table.schema().column_names == SCHEMA.names
    assert table.properties["mine"] == "1"
    assert retention.properties(few.retention, table.properties) == {}
    again = opened(few, SCHEMA.remove(1))
    assert again.metadata_location == table.metadata_location


def test_a_table_that_another_changes_meanwhile_is_extended_all_the_same(
    few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = tables.open_catalog(few)
    catalog.create_namespace("learning")
    other, real, meanwhile = catalog.create_table("learning.results", SCHEMA), retention.properties, ["once"]

    def raced(*given: Any) -> dict[str, str]:
        if meanwhile:
            meanwhile.clear()
            other.append(row("a", 1))
        return real(*given)

    monkeypatch.setattr(retention, "properties", raced)
    table = opened(few)
    assert real(few.retention, table.properties) == {}
    assert held(table) == [("fruit", "a", 1)]


def test_columns_that_another_run_adds_meanwhile_stay_and_what_it_does_not_add_is_added(
    few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = tables.open_catalog(few)
    catalog.create_namespace("learning")
    other = catalog.create_table("learning.results", SCHEMA.remove(2), properties=tables.TABLE_PROPERTIES)
    real, waits = LakeSqlCatalog.commit_table, []

    def raced(self: LakeSqlCatalog, *given: Any) -> Any:
        monkeypatch.setattr(LakeSqlCatalog, "commit_table", real)
        with other.update_schema() as update:
            update.add_column("more", StringType())
        return real(self, *given)

    def wait(_: float) -> None:
        assert not waits, "a second commit was lost, though nobody changed the table any more"
        waits.append("once")

    monkeypatch.setattr(LakeSqlCatalog, "commit_table", raced)
    monkeypatch.setattr(tenacity.nap.time, "sleep", wait)
    assert opened(few).schema().column_names == ["dataset", "model_id", "more", "n"]
    assert waits == ["once"]


def test_a_row_takes_the_place_of_that_of_its_classifier_alone(few: Settings) -> None:
    table, late = opened(few), opened(few)
    learning.replace_row(table, row("a", 1), "fruit", "a")
    learning.replace_row(late, row("b", 2), "fruit", "b")  # it had been read before
    learning.replace_row(table, row("a", 3, "nuts"), "nuts", "a")
    learning.replace_row(late, row("a", 4), "fruit", "a")
    assert held(table) == [("fruit", "a", 4), ("fruit", "b", 2), ("nuts", "a", 3)]


def test_the_past_of_a_table_of_rows_is_bounded(few: Settings) -> None:
    table = opened(few)
    for number in range(KEPT + GROUP):
        learning.replace_row(table, row(f"{number}", number), "fruit", f"{number}")
    assert len(table.metadata.snapshots) == KEPT


def test_files_take_the_place_of_all_others_unless_they_are_there(few: Settings) -> None:
    table, late = opened(few), opened(few)
    first, second = written(few, "1.parquet", 1), written(few, "2.parquet", 2)
    assert learning.replace_all(table, [first], "2026-11-01") is True
    assert learning.replace_all(late, [first], "2026-11-01") is False
    assert learning.replace_all(table, [second], "2026-11-01") is True  # of a classifier that is as old
    assert held(table) == [("fruit", "m", 2)]
    assert learning.replace_all(table, [], "2026-11-02") is True
    assert held(table) == []
    assert learning.replace_all(table, [], "2026-11-03") is False


def test_files_of_a_classifier_that_was_planned_later_stay(few: Settings) -> None:
    table = opened(few)
    first, second = written(few, "1.parquet", 1), written(few, "2.parquet", 2)
    assert learning.replace_all(table, [second], "2026-11-02") is True
    assert learning.replace_all(table, [first], "2026-11-01") is False
    assert held(table) == [("fruit", "m", 2)]


def test_rows_of_another_program_are_older_than_any_classifier(few: Settings) -> None:
    table = opened(few)
    table.append(row("theirs", 9))
    assert learning.replace_all(table, [written(few, "1.parquet", 1)], "2026-11-01") is True
    assert held(table) == [("fruit", "m", 1)]


def test_the_past_of_a_table_of_files_is_bounded(few: Settings) -> None:
    table = opened(few)
    for number in range(KEPT):
        learning.replace_all(table, [written(few, f"{number}.parquet", number)], "2026-11-01")
    assert len(table.metadata.snapshots) < KEPT + GROUP


def test_other_files_of_the_same_beginning_are_deleted(few: Settings) -> None:
    table = opened(few)
    kept, killed, other = (written(few, f"{name}.parquet", 1) for name in ("m-1", "m-2", "n-1"))
    learning.remove_others(table, kept.removesuffix("1.parquet"), {kept})
    assert [Path(uri.removeprefix("file://")).exists() for uri in (kept, killed, other)] == [True, False, True]


def test_rows_that_equal_all_values_are_read_and_nothing_is_made(few: Settings) -> None:
    assert learning.read(few, "results", SCHEMA, {}).equals(SCHEMA.empty_table())
    assert not Path(few.lake.removeprefix("file://"), "catalog.db").exists()
    with tables.open_catalog(few):
        assert learning.read(few, "results", SCHEMA, {}).equals(SCHEMA.empty_table())
    table = opened(few)
    for one in (row("a", 1), row("b", 2), row("a", 3, "nuts")):
        table.append(one)
    found = learning.read(few, "results", SCHEMA, {"dataset": "fruit", "model_id": "a"})
    assert found.to_pylist() == row("a", 1).to_pylist()
    assert learning.read(few, "results", SCHEMA, {}).num_rows == 3
    wider = pa.schema([("later", pa.string()), ("n", pa.int64())])
    assert learning.read(few, "results", wider, {"dataset": "nuts"}).to_pylist() == [{"n": 3}]


@pytest.mark.parametrize("error", [NoSuchTableError, NoSuchNamespaceError])
def test_a_catalog_may_say_the_table_or_the_namespace_that_is_not_there(
    error: type[Exception], few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> Table:
        raise error("it is not there")

    opened(few)
    monkeypatch.setattr(LakeSqlCatalog, "load_table", missing)
    assert learning.read(few, "results", SCHEMA, {}).equals(SCHEMA.empty_table())
