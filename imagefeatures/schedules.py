"""Which cron expressions are the schedule of a dataset: those that Airflow takes, at midnight.

A partition is a day: the bounds of a backfill compare as instants, and any later hour would drop the last day.
"""

from __future__ import annotations

import datetime as dt
import functools
import re

MONTHS = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
CRON_WORDS = MONTHS | {"mon", "tue", "wed", "thu", "fri", "sat", "sun", "l"}  # l: the last day of a month


def check(schedule: str) -> None:
    """Raise ValueError for any other expression."""
    if not re.fullmatch(r"0 0( [0-9*/,A-Za-z-]+){3}", schedule):
        raise ValueError('must be a cron expression at midnight, such as "0 0 * * *"')
    # Else croniter chooses: R is a random day, H one by a hash.
    if unknown := set(re.findall("[a-z]+", schedule.lower())) - CRON_WORDS:
        raise ValueError(f"is not a cron expression: {min(unknown)!r} is neither a month nor a weekday")
    _check_cron(schedule)


@functools.lru_cache(256)  # a millisecond a day
def due(schedule: str, first: dt.date, today: dt.date) -> tuple[dt.date, ...]:
    """The days from `first` on that scheduled runs have filled on that day, or should have: oldest first.

    A run fills the day of the expression that is before its own, as the DAGs' calendar says it. None is due where
    `first` is after today.

    >>> [str(day) for day in due("0 0 * * 1", dt.date(2026, 11, 1), dt.date(2026, 11, 16))]
    ['2026-11-02', '2026-11-09']
    """
    from croniter import croniter

    if first > today:
        return ()
    days = croniter(schedule, dt.datetime.combine(first, dt.time()) - dt.timedelta(seconds=1))
    found: list[dt.date] = []
    day = days.get_next(dt.datetime).date()
    while (following := days.get_next(dt.datetime).date()) <= today:
        found.append(day)
        day = following
    return tuple(found)


def _check_cron(schedule: str) -> None:
    """Raise ValueError when Airflow would refuse the expression, or find no day for it: by the library that it uses."""
    from croniter import croniter  # when a schedule is set

    start = dt.datetime(2026, 1, 1)
    try:
        croniter(schedule, start).get_next(dt.datetime)
        croniter(schedule, start).get_prev(dt.datetime)
    except Exception as error:  # it raises more than its own errors
        raise ValueError(f"is not a cron expression: {error}") from None
