"""The partitions of a dataset in order: published, with what is quarantined, under way, and missing by its schedule."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from imagefeatures import schedules
from imagefeatures.datasets import Dataset
from imagefeatures_airflow.web.dag_runs import RunOfDag
from imagefeatures_airflow.web.published import Row

State = Literal["registered", "quarantined", "running", "withdrawn", "missing"]

WORDS: dict[State, str] = {
    "registered": "whole",
    "quarantined": "with quarantined objects (red: 1 % or more)",
    "running": "under way",
    "withdrawn": "taken back",
    "missing": "missing",
}
"""What the page calls them, in the order of its legend."""

MONTHS = 24
"""The calendar shows so many months, the newest."""


LONGEST = dt.timedelta(days=MONTHS * 31)
"""Partitions of longer ago are not missed."""


@dataclass(frozen=True)
class Cell:
    """A partition. row: what is published of it. run: the DAG run that fills it now."""

    key: str
    state: State
    row: Row | None = None
    run: RunOfDag | None = None


@dataclass(frozen=True)
class Timeline:
    """cells: oldest partition first."""

    cells: tuple[Cell, ...]

    @property
    def counts(self) -> list[tuple[State, int]]:
        """How many there are of each state, in the order of WORDS, for those of which there are any."""
        found = Counter(cell.state for cell in self.cells)
        return [(state, found[state]) for state in WORDS if found[state]]

    @property
    def months(self) -> list[tuple[str, list[Cell | None]]]:
        """The calendar: the days of each month, the newest first; None for a day without a partition.

        Empty where a partition is no day.
        """
        if any(day_of(cell.key) is None for cell in self.cells):
            return []
        found: dict[str, list[Cell | None]] = {}
        for month, cells in itertools.groupby(reversed(self.cells), key=lambda cell: cell.key[:7]):
            days = {int(cell.key[8:]): cell for cell in cells}
            found[month] = [days.get(day) for day in range(1, 32)]
        return list(found.items())[:MONTHS]

    @property
    def has_older_months(self) -> bool:
        """Whether there are more months than the calendar shows."""
        return len({cell.key[:7] for cell in self.cells}) > MONTHS

    def in_state(self, state: State) -> list[Cell]:
        """Those in this state, newest partition first."""
        return [cell for cell in reversed(self.cells) if cell.state == state]

    @property
    def newest_gap(self) -> list[Cell]:
        """The newest missing partition, and those before it up to one that is not missing; oldest first."""
        gap: list[Cell] = []
        for cell in reversed(self.cells):
            if cell.state == "missing":
                gap.append(cell)
            elif gap:
                break
        return gap[::-1]


@dataclass(frozen=True)
class Change:
    """Of a fingerprint. model: whose; empty of the dataset's first one."""

    model: str
    old: str
    new: str


def timeline(
    rows: Sequence[Row],
    file: Dataset | None,
    under_way: Mapping[str, RunOfDag],
    now: dt.datetime,
    since: str | None = None,
    withdrawn: Container[str] = (),
) -> Timeline:
    """rows: of features.runs, of one dataset. file: None where there is no dataset file; then nothing is missing.

    under_way: the DAG runs that fill a partition now, by its key. now: in UTC. A scheduled partition is missing when
    its run is due and nothing is published. None is before the first partition that is published, nor before `since`,
    the first one for which the schedule has made a run: a schedule may be younger than what is published. Where nothing
    is published, `since` or the file's own start_date says from when on partitions are due; without both none is.
    withdrawn: the partitions of which rows were taken back; what is due of them is not missing.
    """
    by_key = {row["partition_key"]: row for row in rows}
    due: list[str] = []
    if file and file.schedule and (known := _begins(by_key, file, day_of(since or ""))):
        first = max(file.start_date, now.date() - LONGEST, *known)
        due = [str(day) for day in schedules.due(file.schedule, first, now.date())]
    keys = {*by_key, *under_way, *due}
    return Timeline(tuple(_cell(key, by_key.get(key), under_way.get(key), withdrawn) for key in sorted(keys)))


def fingerprint_changes(rows: Sequence[Row]) -> list[tuple[Row, list[Change]]]:
    """The partitions at which a fingerprint is another one than before, newest first. rows: of features.runs.

    A model that is new has not changed, and neither has one that a partition in between does without.
    """
    found, known = [], dict[str, str]()
    for row in sorted(rows, key=lambda row: row["partition_key"]):
        of_models = {"": row["fingerprint"], **dict(row.get("models") or ())}
        own = {model: fingerprint for model, fingerprint in of_models.items() if fingerprint}  # pixels alone have none
        changes = [Change(name, known[name], new) for name, new in own.items() if known.get(name, new) != new]
        if changes:
            found.append((row, changes))
        known |= own
    return found[::-1]


def day_of(key: str) -> dt.date | None:
    """The day that a partition key names; None of a key that is no day.

    >>> day_of("2026-11-02"), day_of("all"), day_of("2026-02-30"), day_of("20261102"), day_of("2026-W45-1")
    (datetime.date(2026, 11, 2), None, None, None, None)
    """
    try:
        day = dt.date.fromisoformat(key)
    except ValueError:
        return None
    return day if str(day) == key else None


def _begins(published: Iterable[str], file: Dataset, since: dt.date | None) -> list[dt.date]:
    """The days before which no partition is missing; none where nobody can say from when on they are due.

    A dataset without a publication counts from the start_date that its file names: the default is years ago.
    """
    keys = list(published)
    days = [day for key in keys if (day := day_of(key))]
    if days:
        return [min(days), since or dt.date.min]
    if keys:  # of partitions that are no days
        return []
    if since:
        return [since]
    return [file.start_date] if "start_date" in file.model_fields_set else []


def _cell(key: str, row: Row | None, run: RunOfDag | None, withdrawn: Container[str]) -> Cell:
    if run:
        return Cell(key, "running", row, run)
    if row is None:
        return Cell(key, "withdrawn" if key in withdrawn else "missing")
    return Cell(key, "quarantined" if row["quarantined"] else "registered", row)
