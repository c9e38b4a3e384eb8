"""Whether three tables hold one and the same run, and which files may be read as they are."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import names, schemas
from imagefeatures.catalog import known_files, tables
from imagefeatures.errors import InputError
from imagefeatures.settings import Settings
from support import growing
from support.publishing import DAY, delete_rows, features_file

Opened = dict[str, tables.Table]


def runs_row(run_id: str, registered: int, quarantined: int) -> pa.Table:
    blank: dict[pa.DataType, Any] = {pa.string(): "x", pa.int64(): 7, pa.int32(): 0, pa.float64(): 0.5}
    moment = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)
    row = {f.name: blank.get(f.type, [] if pa.types.is_nested(f.type) else moment) for f in schemas.RUNS}
    own = {"dataset": "photos", "partition_key": DAY, "run_id": run_id}
    return pa.Table.from_pylist(
        [row | own | {"registered": registered, "quarantined": quarantined}], schema=schemas.RUNS
    )


def rejected(run_id: str, count: int) -> pa.Table:
    row = {"partition_key": DAY, "dataset": "photos", "step": "ingest", "reason": "CORRUPT", "detail": "x",
           "run_id": run_id, "quarantined_at": 0}  # fmt: skip
    return pa.Table.from_pylist([row | {"uri": f"s3://b/{at}"} for at in range(count)], schema=schemas.QUARANTINE)


@pytest.fixture
def opened(settings: Settings, tmp_path: Path) -> Opened:
    """The three tables, which hold the run "one": three rows of features, two of the quarantine."""
    catalog = tables.open_catalog(settings)
    found = {name: tables.open_table(catalog, settings, name) for name in ("photos", names.QUARANTINE, names.RUNS)}
    tables.replace_rows(found[names.QUARANTINE], DAY, "photos", rejected("one", 2), "one")
    tables.replace_files(found["photos"], DAY, [features_file(tmp_path, "one")], "one")
    tables.replace_rows(found[names.RUNS], DAY, "photos", runs_row("one", 3, 2), "one")
    return found


def test_tables_of_one_run_agree(opened: Opened) -> None:
    assert tables.agree(opened, "photos", DAY)
    assert not tables.agree(opened, "photos", "2026-11-03")
    assert tables.agree(opened, "photos", "2026-11-03", empty=True)
    assert not tables.agree(opened, "photos", DAY, empty=True)


@pytest.mark.parametrize("left", ["photos", names.QUARANTINE])
def test_a_table_that_still_has_rows_of_an_emptied_partition_does_not_agree(opened: Opened, left: str) -> None:
    nothing = runs_row("one", 3, 2).slice(0, 0)
    tables.replace_rows(opened[names.RUNS], DAY, "photos", nothing, "two")
    if left == "photos":
        tables.replace_rows(opened[names.QUARANTINE], DAY, "photos", rejected("two", 0), "two")
    else:
        tables.replace_files(opened["photos"], DAY, [], "two")
    assert not tables.agree(opened, "photos", DAY, empty=True)


@pytest.mark.parametrize(
    ("run_id", "rows"), [("two", 3), ("one", 2), ("one", 4)], ids=["another run", "a row less", "a row more"]
)
def test_features_that_are_not_those_of_the_runs_row_do_not_agree(
    opened: Opened, tmp_path: Path, run_id: str, rows: int
) -> None:
    tables.replace_files(opened["photos"], DAY, [features_file(tmp_path, run_id, rows=rows)], run_id)
    assert not tables.agree(opened, "photos", DAY)


def test_features_of_two_runs_do_not_agree(opened: Opened, tmp_path: Path) -> None:
    with opened["photos"].transaction() as change:
        change.add_files([features_file(tmp_path, "two", rows=1)])
    assert not tables.agree(opened, "photos", DAY)


@pytest.mark.parametrize(("run_id", "rows"), [("two", 2), ("one", 1), ("one", 0)])
def test_a_quarantine_that_is_not_that_of_the_runs_row_does_not_agree(opened: Opened, run_id: str, rows: int) -> None:
    tables.replace_rows(opened[names.QUARANTINE], DAY, "photos", rejected(run_id, rows), run_id)
    assert not tables.agree(opened, "photos", DAY)


def test_a_file_with_deleted_rows_is_not_offered_for_reuse(opened: Opened, settings: Settings, tmp_path: Path) -> None:
    other = features_file(tmp_path, "next", "2026-11-03")
    tables.replace_files(opened["photos"], "2026-11-03", [other], "next")
    catalog = tables.open_catalog(settings)
    (first,) = (file for file, _ in known_files.files_with(catalog, "photos", "f") if file != other)
    delete_rows(opened["photos"], first, [1])
    assert [file for file, _ in known_files.files_with(catalog, "photos", "f")] == [other]


def test_a_check_sees_the_whole_row_that_would_be_replaced_and_may_end_the_swap(opened: Opened) -> None:
    runs, seen = opened[names.RUNS], []
    assert tables.replace_rows(runs, DAY, "nuts", growing.runs_row("nuts", "one"), "one", seen.append)
    assert seen == [None]
    (standing,) = runs.scan(row_filter=tables.rows_of(DAY, "photos")).to_arrow().to_pylist()
    assert tables.replace_rows(runs, DAY, "photos", runs_row("two", 3, 2), "two", seen.append)
    assert seen == [None, standing]

    def refused(row: dict[str, Any] | None) -> None:
        raise InputError(f"{row and row['run_id']} stays")

    with pytest.raises(InputError, match=r"^two stays$"):
        tables.replace_rows(runs, DAY, "photos", runs_row("three", 3, 2), "three", refused)
    row = tables.row_of_runs(runs, "photos", DAY)
    assert row is not None and row["run_id"] == "two"
