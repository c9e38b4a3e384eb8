"""The Iceberg tables on SQLite and on PostgreSQL: partitions are replaced atomically, also with concurrent writers."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog, SqlCatalogBaseTable
from sqlalchemy.exc import DBAPIError

from imagefeatures import read, schemas
from imagefeatures.catalog import known_files, tables
from imagefeatures.settings import Settings
from support.publishing import DAY, SPAWN, features_file, in_processes, open_first, publish_older_run, swap_in


@pytest.fixture(params=["sqlite", "postgresql"])
def make_settings(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Settings]:
    """make_settings(): settings with a new lake and an empty catalog."""

    def make() -> Settings:
        lake = Path(settings.lake.removeprefix("file://"), uuid.uuid4().hex)
        lake.mkdir()
        database = f"sqlite:///{lake}/catalog.db?timeout=60"
        if request.param == "postgresql":
            database = request.getfixturevalue("make_database")()
        return dataclasses.replace(settings, lake=f"file://{lake}", catalog=database)

    return make


@pytest.fixture
def empty(make_settings: Callable[[], Settings]) -> Settings:
    """Settings with an empty catalog, once on SQLite and once on PostgreSQL."""
    return make_settings()


def test_a_table_has_the_schemas_columns_and_their_words(empty: Settings) -> None:
    for name, schema in (("photos", schemas.FEATURES), ("quarantine", schemas.QUARANTINE), ("runs", schemas.RUNS)):
        table = tables.open_table(tables.open_catalog(empty), empty, name)
        assert [field.name for field in table.schema().fields] == schema.names
        assert [field.doc for field in table.schema().fields] == [field.metadata[b"doc"].decode() for field in schema]
        assert [field.required for field in table.schema().fields] == [not field.nullable for field in schema]
        assert [field.name for field in table.spec().fields] == ([] if name == "runs" else ["partition_key"])
        assert table.location() == f"{empty.lake}/warehouse/features/{name}"
        again = tables.open_table(tables.open_catalog(empty), empty, name)
        assert again.metadata_location == table.metadata_location  # nothing is left to change


def test_a_swap_replaces_the_partition_in_one_commit_and_nothing_else(empty: Settings, tmp_path: Path) -> None:
    table = tables.open_table(tables.open_catalog(empty), empty, "photos")
    assert tables.replace_files(table, DAY, [features_file(tmp_path, "first")], "first")
    assert tables.replace_files(table, "2026-11-03", [features_file(tmp_path, "next", "2026-11-03")], "next")
    later = [features_file(tmp_path, "later", rows=2), features_file(tmp_path, "later", rows=2)]
    metadata = table.metadata_location
    assert tables.replace_files(table, DAY, later, "later")
    rows = table.scan().to_arrow().group_by(["partition_key", "run_id"]).aggregate([([], "count_all")]).to_pylist()
    counts = {(row["partition_key"], row["run_id"]): row["count_all"] for row in rows}
    assert counts == {(DAY, "later"): 4, ("2026-11-03", "next"): 3}
    assert table.metadata_location != metadata
    assert {s.summary["imagefeatures.run-id"] for s in table.snapshots()} == {"first", "next", "later"}
    assert not tables.replace_files(table, DAY, later, "later")


def test_a_partition_can_become_empty(empty: Settings, tmp_path: Path) -> None:
    table = tables.open_table(tables.open_catalog(empty), empty, "photos")
    tables.replace_files(table, DAY, [features_file(tmp_path, "first")], "first")
    assert tables.replace_files(table, DAY, [], "none")
    assert table.scan().count() == 0


@pytest.mark.long
def test_three_runs_that_publish_one_partition_at_once_leave_exactly_one_runs_rows(
    empty: Settings, tmp_path: Path
) -> None:
    start = SPAWN.Barrier(3)
    in_processes(swap_in, [(empty, str(tmp_path), f"run-{number}", start) for number in range(3)])
    rows = read.table(empty, "photos", columns=("uri", "run_id"))
    assert rows.num_rows == 3
    assert len(set(rows["run_id"].to_pylist())) == 1


@pytest.mark.long
def test_four_first_runs_at_once_all_find_one_and_the_same_table(make_settings: Callable[[], Settings]) -> None:
    rounds = [make_settings() for _ in range(12)]
    results, start = SPAWN.Queue(), SPAWN.Barrier(4)
    in_processes(open_first, [(rounds, results, start)] * 4)
    seen = Counter(results.get() for _ in range(4 * len(rounds)))
    assert sorted(seen.values()) == [4] * len(rounds)


def test_catalog_tables_and_namespace_that_another_run_makes_first_are_used(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both runs have found nothing, and the other run creates the tables and the namespace first."""
    make_tables, make_namespace = SqlCatalog.create_tables, SqlCatalog.create_namespace
    failures: list[str] = []

    def tables_made_twice(self: SqlCatalog) -> None:
        make_tables(self)
        try:
            SqlCatalogBaseTable.metadata.create_all(self.engine, checkfirst=False)
        except DBAPIError as error:
            failures.append(str(error.orig))
            raise

    def namespace_made_twice(self: SqlCatalog, namespace: str) -> None:
        make_namespace(self, namespace)
        monkeypatch.setattr(SqlCatalog, "namespace_exists", lambda *_: False)
        try:
            make_namespace(self, namespace)
        except DBAPIError as error:
            failures.append(str(error.orig))
            raise
        finally:
            monkeypatch.undo()

    monkeypatch.setattr(SqlCatalog, "create_tables", tables_made_twice)
    monkeypatch.setattr(SqlCatalog, "create_namespace", namespace_made_twice)
    tables.open_table(tables.open_catalog(empty), empty, "photos")
    table, namespace = failures
    assert "iceberg_tables" in table and "already exists" in table
    assert re.search("UNIQUE constraint failed|duplicate key value violates unique constraint", namespace)


@pytest.mark.parametrize("dataset", ["a-very-long-dataset-name-beyond-any-bound-truncation", "a"])
def test_rows_of_a_dataset_are_replaced_beside_those_of_another(empty: Settings, dataset: str) -> None:
    table = tables.open_table(tables.open_catalog(empty), empty, "quarantine")

    def rows(name: str, run_id: str, count: int) -> pa.Table:
        row = {
            "partition_key": DAY,
            "dataset": name,
            "step": "ingest",
            "reason": "CORRUPT",
            "detail": "",
            "run_id": run_id,
        }
        rejected = [{**row, "uri": f"s3://b/{number}", "quarantined_at": 0} for number in range(count)]
        return pa.Table.from_pylist(rejected, schema=schemas.QUARANTINE)

    assert tables.replace_rows(table, DAY, dataset, rows(dataset, "one", 3), "one")
    assert tables.replace_rows(table, DAY, dataset + "2", rows(dataset + "2", "two", 2), "two")
    assert tables.replace_rows(table, DAY, dataset, rows(dataset, "three", 1), "three")
    assert not tables.replace_rows(table, DAY, dataset, rows(dataset, "three", 1), "three")
    assert sorted(table.scan().to_arrow()["run_id"].to_pylist()) == ["three", "two", "two"]


def test_a_table_of_an_older_version_gets_the_missing_column_and_keeps_its_rows(settings: Settings) -> None:
    publish_older_run(settings)
    (seen,) = read.runs(settings)
    assert (seen["dataset"], seen["registered"], seen["reused"]) == ("old", 7, None)
    opened = tables.open_catalog(settings)
    assert "reused" not in opened.load_table("features.runs").schema().column_names  # reading changes nothing
    row = {name: value for name, value in seen.items() if name != "reused"} | {"dataset": "new", "reused": 3}
    rows = pa.Table.from_pylist([row | {"run_id": "y"}], schema=schemas.RUNS)
    table = tables.open_table(opened, settings, "runs")
    assert tables.replace_rows(table, "x", "new", rows, "y")
    assert {r["dataset"]: r["reused"] for r in read.table(settings, "runs").to_pylist()} == {
        "old": None,
        "new": 3,
    }
    columns = {field.name: field for field in table.schema().fields}
    assert set(columns) == set(schemas.RUNS.names)
    assert columns["reused"].doc == schemas.RUNS.field("reused").metadata[b"doc"].decode()
    version = table.metadata.current_schema_id
    assert tables.open_table(opened, settings, "runs").metadata.current_schema_id == version


def test_two_runs_that_add_the_missing_column_at_once_both_go_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_older_run(settings)
    opened, meanwhile = tables.open_catalog(settings), iter([True])
    update = tables.Table.update_schema

    def after_the_other(table: tables.Table) -> object:
        change = update(table)
        for _ in meanwhile:  # once
            tables.open_table(tables.open_catalog(settings), settings, "runs")
        return change

    monkeypatch.setattr(tables.Table, "update_schema", after_the_other)
    assert "reused" in tables.open_table(opened, settings, "runs").schema().column_names


def test_a_search_for_a_fingerprint_finds_current_files_and_makes_no_table(settings: Settings, tmp_path: Path) -> None:
    opened = tables.open_catalog(settings)
    assert known_files.files_with(opened, "photos", "f") == []
    assert opened.list_tables("features") == []
    table = tables.open_table(opened, settings, "photos")
    assert known_files.files_with(opened, "photos", "f") == []
    files = {day: features_file(tmp_path, "first", day) for day in (DAY, "2026-11-03")}
    for day, file in files.items():
        tables.replace_files(table, day, [file], "first")
    sizes = {file: Path(file.removeprefix("file://")).stat().st_size for file in files.values()}
    assert known_files.files_with(opened, "photos", "f") == sorted(sizes.items())
    assert known_files.files_with(opened, "photos", "e") == []
    assert known_files.files_with(opened, "other", "f") == []
    tables.replace_files(table, DAY, [features_file(tmp_path, "later")], "later")
    assert files[DAY] not in dict(known_files.files_with(opened, "photos", "f"))
