"""The newest gap of a dataset's partitions, and the months that its calendar leaves out."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from imagefeatures_airflow.web.timeline import MONTHS, Cell, Timeline, timeline
from support.web import runs_row

NOW = dt.datetime(2026, 11, 16, 0, 5, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("states", "gap"),
    [
        ("m r m m r", [2, 3]),
        ("m r m m", [2, 3]),
        ("m m q r", [0, 1]),
        ("m w m r", [2]),
        ("r q", []),
        ("", []),
    ],
)
def test_the_newest_gap_is_that_before_what_is_there(states: str, gap: list[int]) -> None:
    words: dict[str, Any] = {"m": "missing", "r": "registered", "q": "quarantined", "w": "withdrawn"}
    cells = [Cell(str(at), words[state]) for at, state in enumerate(states.split())]
    found = Timeline(tuple(cells))
    assert [cell.key for cell in found.newest_gap] == [str(at) for at in gap]
    assert [cell.key for cell in found.in_state("missing")] == [
        cell.key for cell in reversed(cells) if cell.state == "missing"
    ]


def test_states_are_counted_in_the_order_of_the_legend() -> None:
    cells = [Cell(str(at), state) for at, state in enumerate(("missing", "running", "missing", "registered"))]  # type: ignore[arg-type]
    assert Timeline(tuple(cells)).counts == [("registered", 1), ("running", 1), ("missing", 2)]
    every = ("withdrawn", "missing", "running", "quarantined", "registered")
    found = Timeline(tuple(Cell(state, state) for state in every)).counts  # type: ignore[arg-type]
    assert [state for state, _ in found] == ["registered", "quarantined", "running", "withdrawn", "missing"]


def test_months_beyond_those_of_the_calendar_are_older() -> None:
    days = [f"{2020 + at // 12}-{at % 12 + 1:02}-{day:02}" for at in range(MONTHS + 1) for day in (1, 31)][::2]
    rows = [runs_row("fruit", day, {}) for day in days]
    assert [timeline(some, None, {}, NOW).has_older_months for some in (rows[1:], rows)] == [False, True]
    assert len(timeline(rows, None, {}, NOW).months) == MONTHS
    one_month = [runs_row("fruit", f"2026-10-{day:02}", {}) for day in range(1, 32)]
    assert not timeline(one_month, None, {}, NOW).has_older_months
