"""Tables that somebody else changes or makes at the same moment: looked at again, and tried again so many times."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import tenacity
from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError, ValidationException
from pyiceberg.table import CreateTableTransaction
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from imagefeatures.catalog import attempts, tables, undo
from imagefeatures.settings import Settings
from support.growing import rejected_row
from support.publishing import DAY, features_file


@pytest.fixture
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenacity.nap.time, "sleep", lambda _: None)


def failing(times: float, error: Exception, calls: list[int]) -> Callable[[], str]:
    def once() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "done"

    return once


@pytest.mark.usefixtures("_no_waits")
@pytest.mark.parametrize("error", [CommitFailedException("raced"), ValidationException("raced")])
def test_a_swap_that_loses_races_is_tried_twenty_times(error: Exception) -> None:
    calls: list[int] = []
    assert attempts.until_committed(failing(19, error, calls)) == "done"
    calls.clear()
    with pytest.raises(type(error), match=r"^raced$"):
        attempts.until_committed(failing(1e9, error, calls))
    assert len(calls) == 20


@pytest.mark.usefixtures("_no_waits")
def test_a_swap_with_another_error_is_not_tried_again() -> None:
    calls: list[int] = []
    with pytest.raises(OSError, match="full"):
        attempts.until_committed(failing(1e9, OSError("full"), calls))
    assert len(calls) == 1


class OfPostgres(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("in another language")
        self.sqlstate = sqlstate


MADE_MEANWHILE = [
    IntegrityError("", {}, Exception("unique")),
    OperationalError("", {}, Exception("table iceberg_tables already exists")),
    DBAPIError("", {}, OfPostgres("42P07")),
]
OTHERS = [OperationalError("", {}, Exception("no such table")), DBAPIError("", {}, OfPostgres("42P01")), OSError("x")]


@pytest.mark.usefixtures("_no_waits")
@pytest.mark.parametrize("error", MADE_MEANWHILE, ids=lambda error: type(error).__name__)
def test_what_another_run_has_made_meanwhile_is_looked_for_ten_times(error: Exception) -> None:
    calls: list[int] = []
    assert attempts.unless_made_meanwhile(failing(9, error, calls)) == "done"
    calls.clear()
    with pytest.raises(type(error)):
        attempts.unless_made_meanwhile(failing(1e9, error, calls))
    assert len(calls) == 10


@pytest.mark.usefixtures("_no_waits")
@pytest.mark.parametrize("error", OTHERS, ids=lambda error: type(error).__name__)
def test_another_error_of_the_catalog_is_not_tried_again(error: Exception) -> None:
    calls: list[int] = []
    with pytest.raises(type(error)):
        attempts.unless_made_meanwhile(failing(1e9, error, calls))
    assert len(calls) == 1


@pytest.mark.parametrize(("drawn", "of_ten", "of_commits"), [(0.0, [0.0] * 3, [0.0] * 7),
    (1.0, [0.2] * 3, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0])], ids=["least", "most"])  # fmt: skip
def test_the_waits_between_attempts_are_random_and_those_of_commits_grow_up_to_five_seconds(
    monkeypatch: pytest.MonkeyPatch, drawn: float, of_ten: list[float], of_commits: list[float]
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(tenacity.nap.time, "sleep", waits.append)
    monkeypatch.setattr(random, "random", lambda: drawn)
    monkeypatch.setattr(random, "uniform", lambda least, most: least + drawn * (most - least))
    attempts.unless_made_meanwhile(failing(3, MADE_MEANWHILE[0], []))
    assert waits == of_ten
    waits.clear()
    attempts.until_committed(failing(7, CommitFailedException("raced"), []))
    assert waits == pytest.approx(of_commits)


@pytest.mark.parametrize("error", [TableAlreadyExistsError("there"), CommitFailedException("there")])
def test_a_table_that_another_run_makes_first_is_used(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The catalogs say it by either of the two errors."""
    catalog, made = tables.open_catalog(settings), []
    real = CreateTableTransaction.commit_transaction

    def too_late(transaction: CreateTableTransaction) -> object:
        made.append(str(real(transaction).metadata.table_uuid))
        raise error

    monkeypatch.setattr(CreateTableTransaction, "commit_transaction", too_late)
    table = tables.open_table(catalog, settings, "photos")
    assert [str(table.metadata.table_uuid)] == made


def test_a_new_table_leaves_lost_commits_to_us_and_says_its_version(settings: Settings) -> None:
    table = tables.open_table(tables.open_catalog(settings), settings, "photos")
    assert table.properties.items() >= tables.TABLE_PROPERTIES.items()
    assert tables.TABLE_PROPERTIES["commit.retry.num-retries"] == "0"
    assert len(tables.TABLE_PROPERTIES) == 2


def test_a_table_that_was_opened_before_others_changed_it_is_looked_at_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenacity.nap.time, "sleep", lambda _: pytest.fail("a commit was lost: nothing was looked at"))
    catalog = tables.open_catalog(settings)
    early = [tables.open_table(catalog, settings, "photos") for _ in range(3)]
    first = features_file(tmp_path, "first", rows=2)
    assert tables.replace_files(early[0], DAY, [first], "first")
    assert not tables.replace_files(early[1], DAY, [first], "first")
    assert tables.replace_files(early[1], DAY, [features_file(tmp_path, "second")], "second")
    assert undo.take_back(early[2], DAY, "second")
    assert catalog.load_table(("features", "photos")).scan().to_arrow()["run_id"].to_pylist() == ["first"] * 2


def test_rows_are_replaced_in_a_table_that_others_have_changed_since_it_was_opened(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenacity.nap.time, "sleep", lambda _: pytest.fail("a commit was lost: nothing was looked at"))
    catalog = tables.open_catalog(settings)
    early = [tables.open_table(catalog, settings, "quarantine") for _ in range(2)]
    assert tables.replace_rows(early[0], DAY, "photos", rejected_row("photos", "first"), "first")
    assert not tables.replace_rows(early[1], DAY, "photos", rejected_row("photos", "first"), "first")
    assert tables.replace_rows(early[0], DAY, "photos", rejected_row("photos", "second"), "second")
    assert tables.replace_rows(early[1], DAY, "photos", rejected_row("photos", "third"), "third")
    rows = catalog.load_table(("features", "quarantine")).scan().to_arrow()
    assert rows["run_id"].to_pylist() == ["third"]


def test_the_row_of_a_run_is_looked_up_in_the_table_as_it_is_now(settings: Settings) -> None:
    from support.web import publish, runs_row

    runs = tables.open_table(tables.open_catalog(settings), settings, "runs")
    assert tables.row_of_runs(runs, "fruit", "2026-11-02") is None
    publish(settings, runs_row("fruit", "2026-11-02", {}))
    row = tables.row_of_runs(runs, "fruit", "2026-11-02")
    assert row is not None and (row["dataset"], row["partition_key"]) == ("fruit", "2026-11-02")
    assert tables.row_of_runs(runs, "fruit", "2026-11-03") is None
    assert tables.row_of_runs(runs, "nuts", "2026-11-02") is None
