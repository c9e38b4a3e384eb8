"""A row of a table that keeps what was done is there once, beside all others, until it is taken out again."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from imagefeatures import names, schemas
from imagefeatures.catalog import records, retention, tables
from imagefeatures.catalog.filters import equal
from imagefeatures.settings import Settings
from support.growing import GROUP, KEPT
from support.publishing import DAY


@pytest.fixture
def withdrawals(few: Settings) -> Table:
    return opened(few)


def opened(settings: Settings) -> Table:
    return tables.open_table(tables.open_catalog(settings), settings, names.WITHDRAWALS)


def row(run_id: str, dataset: str = "photos") -> pa.Table:
    values = {
        "partition_key": DAY, "dataset": dataset, "run_id": run_id, "replaced": "r", "asked_by": "me", "why": "",
        "withdrawn_at": dt.datetime(2026, 11, 3, tzinfo=dt.UTC), "uris": None, "registered": 1, "quarantined": 0,
    }  # fmt: skip
    return pa.Table.from_pylist([values], schema=schemas.WITHDRAWALS)


def kept(table: Table) -> list[str]:
    table.refresh()
    return sorted(table.scan().to_arrow()["run_id"].to_pylist())


def files(table: Table) -> int:
    return len(list(table.scan().plan_files()))


def test_a_row_is_added_once_whoever_has_added_it(withdrawals: Table, few: Settings) -> None:
    late = opened(few)
    assert records.keep(withdrawals, row("one")) is True
    assert records.keep(withdrawals, row("one")) is False
    assert records.keep(late, row("one")) is False  # it had been read before
    assert records.keep(late, row("two")) is True
    assert kept(withdrawals) == ["one", "two"]
    assert files(withdrawals) == 2


def test_many_small_files_are_made_into_one_with_the_new_row(
    withdrawals: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "SMALL_FILES", 2)
    for run_id in ("one", "two", "three"):
        assert records.keep(withdrawals, row(run_id)) is True
    assert kept(withdrawals) == ["one", "three", "two"]
    assert files(withdrawals) == 1


def test_the_past_of_such_a_table_is_bounded(withdrawals: Table, few: Settings) -> None:
    run_ids = [f"run-{number:02}" for number in range(KEPT + GROUP)]
    for run_id in run_ids:
        records.keep(withdrawals, row(run_id))
    assert len(withdrawals.metadata.snapshots) == KEPT
    with tables.open_catalog(few) as catalog:
        for run_id in run_ids[:GROUP]:
            assert records.drop(catalog, names.WITHDRAWALS, run_id) is True
    assert kept(withdrawals) == run_ids[GROUP:]
    assert len(withdrawals.metadata.snapshots) == KEPT


def test_a_row_is_taken_out_alone_and_once(withdrawals: Table, few: Settings) -> None:
    for run_id in ("one", "two"):
        records.keep(withdrawals, row(run_id))
    with tables.open_catalog(few) as catalog:
        assert records.drop(catalog, names.WITHDRAWALS, "one") is True
        assert kept(withdrawals) == ["two"]
        last = withdrawals.metadata_location
        assert records.drop(catalog, names.WITHDRAWALS, "one") is False
        withdrawals.refresh()
        assert withdrawals.metadata_location == last
        assert records.drop(catalog, names.FORGOTTEN, "one") is False


def test_a_row_is_taken_out_though_another_is_added_meanwhile(
    withdrawals: Table, few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.keep(withdrawals, row("one"))
    real, meanwhile = retention.expire, ["two"]

    def raced(table: Table, change: Any) -> None:
        if meanwhile:
            records.keep(withdrawals, row(meanwhile.pop()))
        real(table, change)

    monkeypatch.setattr(retention, "expire", raced)
    with tables.open_catalog(few) as catalog:
        assert records.drop(catalog, names.WITHDRAWALS, "one") is True
    assert kept(withdrawals) == ["two"]


def test_the_rows_that_meet_a_condition_are_read_and_no_table_is_made(few: Settings) -> None:
    catalog: Catalog
    with tables.open_catalog(few) as catalog:
        assert records.read(catalog, names.WITHDRAWALS, equal("dataset", "photos")) == []
        assert not catalog.table_exists((names.NAMESPACE, names.WITHDRAWALS))
        table = opened(few)
        for run_id, dataset in (("one", "photos"), ("two", "birds")):
            records.keep(table, row(run_id, dataset))
        (found,) = records.read(catalog, names.WITHDRAWALS, equal("dataset", "birds"))
    assert found == row("two", "birds").to_pylist()[0]
