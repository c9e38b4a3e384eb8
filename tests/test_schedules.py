"""Cron expressions: which are refused, and the days on which a run is due."""

from __future__ import annotations

import datetime as dt

import pytest

from imagefeatures import schedules
from imagefeatures.schedules import due

MONDAY = dt.date(2026, 11, 2)


@pytest.mark.parametrize("weekday", ["mon", "Tue", "WED", "thu", "fri", "sat", "sun"])
def test_days_of_the_week_have_names(weekday: str) -> None:
    schedules.check(f"0 0 * * {weekday}")


@pytest.mark.parametrize("schedule", ["0 0 * * *", "0 0 1-5,20 */2 *", "0 0 * jan,Dec *", "0 0 L * *", "0 0 29 2 *"])
def test_an_expression_at_midnight_is_one(schedule: str) -> None:
    schedules.check(schedule)


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("@daily", 'must be a cron expression at midnight, such as "0 0 * * *"'),
        ("0 3 * * *", 'must be a cron expression at midnight, such as "0 0 * * *"'),
        ("0 0 R * *", "is not a cron expression: 'r' is neither a month nor a weekday"),
        ("0 0 * yan fry", "is not a cron expression: 'fry' is neither a month nor a weekday"),
        ("0 0 31 2 *", "is not a cron expression: failed to find"),
        ("0 0 40 * *", "is not a cron expression: "),
    ],
)
def test_any_other_is_refused(schedule: str, why: str) -> None:
    with pytest.raises(ValueError, match="expression") as refused:
        schedules.check(schedule)
    assert str(refused.value).startswith(why)


def test_a_day_is_due_on_the_next_day_of_the_schedule() -> None:
    def days(today: dt.date, first: dt.date = MONDAY) -> list[int]:
        return [day.day for day in due("0 0 * * mon", first, today)]

    assert days(dt.date(2026, 11, 15)) == [2]
    assert days(dt.date(2026, 11, 16)) == [2, 9]
    assert days(dt.date(2026, 11, 16), dt.date(2026, 11, 3)) == [9]
    assert days(MONDAY) == []
    assert due("0 0 * * *", dt.date(9999, 12, 31), MONDAY) == ()
