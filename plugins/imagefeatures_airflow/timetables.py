"""The calendars of the datasets: a partition is a day in UTC, whichever zone the person at the browser is in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import structlog
from airflow.timetables.base import DagRunInfo, TimeRestriction, Timetable
from airflow.timetables.trigger import CronPartitionTimetable

log = structlog.get_logger(__name__)

WESTERNMOST = dt.timedelta(hours=10)
"""A midnight up to here after UTC's is that of a place in the west, Hawaii's the last; a later one is of the east."""


class DailyPartitionTimetable(CronPartitionTimetable):
    """One partition a day. A backfill fills the days that were typed, up to today, whatever the browser's zone is.

    Airflow's form takes a day as the person's own: it asks for what lies between the two midnights of that zone, and
    Airflow then takes the midnights of UTC between them. From New York that is each day's next one.
    """

    first: dt.date | None = None
    """The first day at whose midnight there is a scheduled run."""

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        found = super().deserialize(data)
        if data.get("first"):  # an earlier version wrote none
            found.first = dt.date.fromisoformat(data["first"])
        return found

    def serialize(self) -> dict[str, Any]:
        return super().serialize() | {"first": self.first and self.first.isoformat()}

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        if self.first:
            first = _midnight(self.first)
            restriction = restriction._replace(earliest=max(first, restriction.earliest or first))
        return super().next_dagrun_info_v2(last_dagrun_info=last_dagrun_info, restriction=restriction)

    def iter_partition_dagrun_infos(self, *, earliest: dt.datetime, latest: dt.datetime) -> Iterable[DagRunInfo]:
        """The partitions of a backfill, none of them in the future: its run would wait, and block other backfills."""
        first, last = typed_days(earliest, latest)
        last = min(last, dt.datetime.now(dt.UTC).date())
        found = list(super().iter_partition_dagrun_infos(earliest=_midnight(first), latest=_midnight(last)))
        words = in_words([str(info.partition_key) for info in found])
        log.info(words, asked_from=f"{earliest:%Y-%m-%dT%H:%MZ}", asked_to=f"{latest:%Y-%m-%dT%H:%MZ}")
        return found


class OnDemandPartitionTimetable(DailyPartitionTimetable):
    """One partition a day, run by hand or by a backfill, never by the scheduler.

    A backfill gets its partitions from the timetable, so a DAG without one cannot be backfilled. `allowed_run_types`
    without scheduled runs is no alternative: Airflow refuses it beside a schedule.
    """

    @property
    def summary(self) -> str:
        return "on demand"

    def next_dagrun_info_v2(self, **_: Any) -> DagRunInfo | None:
        return None


def typed_days(earliest: dt.datetime, latest: dt.datetime) -> tuple[dt.date, dt.date]:
    """The first and the last day that somebody meant by two instants: midnights, or a day's last minute, of any zone.

    From Honolulu to Auckland in summer it is exact. UTC+14, UTC-11 and UTC-12 are taken for their neighbours across
    the date line.

    >>> new_york = dt.datetime(2026, 11, 2, 5, tzinfo=dt.UTC), dt.datetime(2026, 11, 5, 4, 59, 59, tzinfo=dt.UTC)
    >>> [str(day) for day in typed_days(*new_york)]
    ['2026-11-02', '2026-11-04']
    """
    earliest, latest = earliest.astimezone(dt.UTC), latest.astimezone(dt.UTC)
    # Zones differ by quarters of an hour: a minute before one is the end of a day, as the form writes it.
    ends_a_day = latest.minute % 15 == 14
    last = _day_of_midnight(latest)  # of a day's last minute the day that follows, as of the midnight a moment later
    return _day_of_midnight(earliest), last - dt.timedelta(days=1) if ends_a_day else last


def in_words(partitions: list[str]) -> str:
    """
    >>> in_words([]), in_words(["2026-11-02"])
    ('no partition', '1 partition: 2026-11-02')
    >>> in_words(["2026-11-02", "2026-11-03"])
    '2 partitions: 2026-11-02 to 2026-11-03'
    """
    if len(partitions) < 2:
        return f"1 partition: {partitions[0]}" if partitions else "no partition"
    return f"{len(partitions):,} partitions: {partitions[0]} to {partitions[-1]}"


def _day_of_midnight(moment: dt.datetime) -> dt.date:
    day = moment.date()
    after_midnight = moment - _midnight(day)
    return day if after_midnight <= WESTERNMOST else day + dt.timedelta(days=1)


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)
