"""A backfill fills the days that were typed, from a browser anywhere, and nothing in the future."""

from __future__ import annotations

import datetime as dt
import doctest
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
import structlog

from imagefeatures_airflow import timetables
from imagefeatures_airflow.building_blocks import calendar

FIRST, LAST = dt.date(2026, 11, 2), dt.date(2026, 11, 4)
WANTED = ["2026-11-02", "2026-11-03", "2026-11-04"]


def typed(zone: str, first: dt.date, last: dt.date) -> tuple[dt.datetime, dt.datetime]:
    """What Airflow's form sends for two days without a time: the first one's midnight, the last one's last moment."""
    start = dt.datetime.combine(first, dt.time(), ZoneInfo(zone))
    end = dt.datetime.combine(last, dt.time(23, 59, 59, 999000), ZoneInfo(zone))
    return start.astimezone(dt.UTC), end.astimezone(dt.UTC)


def keys(cron: str | None, earliest: dt.datetime, latest: dt.datetime) -> list[Any]:
    infos = calendar(cron, FIRST).iter_partition_dagrun_infos(earliest=earliest, latest=latest)
    return [info.partition_key for info in infos]


@pytest.mark.parametrize("cron", [None, "0 0 * * *"])
@pytest.mark.parametrize(
    "zone",
    ["UTC", "America/New_York", "Pacific/Honolulu", "Europe/Berlin", "Asia/Kolkata", "Asia/Tokyo", "Pacific/Auckland"],
)
def test_the_days_that_were_typed_are_run(cron: str | None, zone: str) -> None:
    assert keys(cron, *typed(zone, FIRST, LAST)) == WANTED
    assert keys(cron, *typed(zone, FIRST, FIRST)) == WANTED[:1]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_midnight_that_was_typed_counts_as_its_day(zone: str) -> None:
    midnights = [dt.datetime.combine(day, dt.time(), ZoneInfo(zone)) for day in (FIRST, LAST)]
    assert keys(None, *midnights) == WANTED


def test_the_midnights_of_the_command_line_are_the_days_that_they_name() -> None:
    midnights = [dt.datetime.combine(day, dt.time(), dt.UTC) for day in (FIRST, LAST)]
    assert keys(None, *midnights) == WANTED


def test_in_every_zone_and_over_every_change_of_the_clock() -> None:
    """All but the three offsets that no instant tells from their neighbours across the date line."""
    tried, wrong = 0, set()
    for zone in sorted(available_timezones() - {"localtime"}):
        for number in range(0, 365, 7):
            day = dt.date(2026, 1, 1) + dt.timedelta(days=number)
            days = (day, day + dt.timedelta(days=2))
            tried += 1
            if timetables.typed_days(*typed(zone, *days)) != days:
                wrong.add(dt.datetime.combine(day, dt.time(), ZoneInfo(zone)).utcoffset())
    assert tried > 25_000
    assert wrong == {dt.timedelta(hours=hours) for hours in (-12, -11, 14)}


def test_weekdays_stay_weekdays() -> None:
    week = typed("America/New_York", dt.date(2026, 11, 5), dt.date(2026, 11, 9))  # Thursday to Monday
    assert keys("0 0 * * 1-5", *week) == ["2026-11-05", "2026-11-06", "2026-11-09"]


def test_a_backfill_ends_today_and_never_waits_for_a_day_to_come() -> None:
    today = dt.datetime.now(dt.UTC).date()
    yesterday = today - dt.timedelta(days=1)
    asked = typed("UTC", yesterday, today + dt.timedelta(days=30))
    assert keys(None, *asked)[:2] == [str(yesterday), str(today)]
    assert len(keys(None, *asked)) <= 3  # at midnight it is tomorrow
    assert keys(None, *typed("UTC", today + dt.timedelta(days=2), today + dt.timedelta(days=3))) == []


def test_the_log_counts_the_partitions_in_words_and_has_the_instants_that_were_asked_for() -> None:
    with structlog.testing.capture_logs() as logged:
        keys(None, *typed("America/New_York", FIRST, LAST))
    (line,) = logged
    assert line["event"] == "3 partitions: 2026-11-02 to 2026-11-04"
    assert (line["asked_from"], line["asked_to"]) == ("2026-11-02T05:00Z", "2026-11-05T04:59Z")


def test_the_examples_are_true() -> None:
    results = doctest.testmod(timetables)
    assert (results.failed, results.attempted) == (0, 4)
