"""Which run of a partition may be published, by the moments alone."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import precedence, schemas
from imagefeatures.catalog import records, tables
from imagefeatures.errors import OlderRun
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings

OURS = Layout("file:///lake", "photos", "2026-11-02", "ours")
EARLIER, NOON, LATER = (dt.datetime(2026, 11, 3, hour, tzinfo=dt.UTC) for hour in (11, 12, 13))


def row(run_id: str = "theirs", **moments: dt.datetime | None) -> dict[str, Any]:
    """A row of features.runs."""
    return {"run_id": run_id, "base_started_at": None, "started_at": NOON, "finished_at": NOON} | moments


def says(act: Callable[[], None]) -> str:
    """What is refused; nothing where nothing is."""
    try:
        act()
    except OlderRun as refused:
        return str(refused)
    return ""


def test_the_base_is_the_run_into_which_redrives_were_merged() -> None:
    assert precedence.base_started_at(row(base_started_at=EARLIER)) == EARLIER
    assert precedence.base_started_at(row()) == NOON  # of an earlier version


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (None, ""),
        (row("ours", started_at=LATER), ""),
        (row(started_at=EARLIER), ""),
        (row(base_started_at=EARLIER, started_at=LATER), ""),  # a re-drive of an earlier run
        (row(), "run ours was planned at 2026-11-03T12:00:00+00:00, before run theirs, which is published and of 2026"),
        (row(started_at=LATER), "before run theirs, which is published and of 2026-11-03T13:00:00+00:00; start a new"),
        (
            row(base_started_at=NOON, started_at=LATER),
            "before run theirs, which is published and merged into a run of 2026-11-03T12:00:00+00:00; start a new",
        ),
    ],
)
def test_a_run_is_refused_where_one_that_was_planned_later_is_published(
    standing: dict[str, Any] | None, words: str
) -> None:
    said = says(lambda: precedence.refuse_older(OURS, NOON, standing))
    assert words in said
    assert bool(said) == bool(words)


@pytest.mark.parametrize(
    ("standing", "refused"),
    [
        (None, False),
        (row("ours", finished_at=LATER), False),
        (row(finished_at=NOON), False),
        (row(finished_at=LATER), True),
    ],
)
def test_one_that_shall_replace_a_later_run_is_refused_where_another_was_published_since(
    standing: dict[str, Any] | None, refused: bool
) -> None:
    said = says(lambda: precedence.refuse_since(OURS, NOON, standing))
    assert bool(said) == refused
    assert not refused or "which is published and of 2026-11-03T13:00:00+00:00" in said


@pytest.mark.parametrize(
    ("standing", "holds"), [(row("base"), ""), (row("ours"), ""), (row(), "theirs"), (None, "none")]
)
def test_a_redrive_is_refused_where_the_partition_holds_another_run(
    standing: dict[str, Any] | None, holds: str
) -> None:
    said = says(lambda: precedence.refuse_other(OURS, "base", standing))
    assert bool(said) == bool(holds)
    assert not holds or f"the run that is published now is {holds}; nothing was merged" in said


def test_a_run_is_refused_where_rows_of_its_partition_were_taken_back_since(settings: Settings) -> None:
    told: dict[str, Any] = {
        "partition_key": OURS.partition, "dataset": OURS.dataset, "run_id": "gone", "replaced": "theirs",
        "asked_by": "ada", "why": "x", "withdrawn_at": NOON, "uris": None, "registered": 1, "quarantined": 0,
    }  # fmt: skip
    with tables.open_catalog(settings) as catalog:
        precedence.refuse_withdrawn(OURS, EARLIER, catalog, "planned")  # no table of withdrawals yet
        withdrawals = tables.open_table(catalog, settings, "withdrawals")
        records.keep(withdrawals, pa.Table.from_pylist([told], schema=schemas.WITHDRAWALS))
        refusal = "run ours was planned at 2026-11-03T11:00:00+00:00, before rows of the partition were taken back at 2"
        with pytest.raises(OlderRun, match=re.escape(refusal)):
            precedence.refuse_withdrawn(OURS, EARLIER, catalog)
        precedence.refuse_withdrawn(OURS, NOON, catalog)
