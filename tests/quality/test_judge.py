"""A value is an alert beyond its bound, and no alert at it, without it, or without anything to compare it with."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pydantic import ValidationError

from imagefeatures.columns import images_per_second
from imagefeatures.quality import judge
from imagefeatures.quality.declared import Alerts
from imagefeatures.quality.drift import Drift
from imagefeatures.wording import one_line
from support.measured import run_row

MONDAYS = ("2026-10-05", "2026-10-12", "2026-10-19", "2026-10-26", "2026-11-02")
TUESDAY = "2026-11-03"


def counted(*counts: int, keys: tuple[str, ...] = MONDAYS) -> list[dict[str, Any]]:
    return [run_row("photos", key, count) for key, count in zip(keys, counts, strict=True)]


@pytest.mark.parametrize(("quarantined", "alert"), [(0, False), (5, False), (6, True), (100, True)])
def test_more_rejected_than_the_bound(quarantined: int, alert: bool) -> None:
    run = run_row("photos", TUESDAY, 100 - quarantined, quarantined=quarantined)
    found = judge.of_run(Alerts(quarantine_rate=0.05), run, [])
    assert (found != {}) is alert
    assert judge.of_run(Alerts(), run, []) == {}
    if quarantined == 6:
        assert found == {"quarantine_rate": "6 of 100 objects are quarantined, 6.00%; the bound is 5.00%"}


def test_nothing_listed_is_no_rate() -> None:
    run = run_row("photos", TUESDAY, 0)
    assert judge.of_run(Alerts(quarantine_rate=0, images_per_second=5), run, []) == {}


@pytest.mark.parametrize(("count", "alert"), [(49, True), (50, False), (150, False), (151, True), (0, True)])
def test_a_count_is_compared_with_the_median_of_the_same_weekday(count: int, alert: bool) -> None:
    *mondays, run = counted(9999, 90, 110, 100, count, keys=("2026-09-28", *MONDAYS[1:]))
    mondays.append(run_row("photos", "2026-10-05", 100))
    others = [*mondays, run_row("photos", TUESDAY, 7), run_row("photos", "2026-11-09", 7), run_row("photos", "all", 7)]
    found = judge.of_run(Alerts(count=0.5), run, others)
    assert (found != {}) is alert
    if count == 49:
        assert found["count"] == (
            "49 objects, where 100 are usual (the median of 4 earlier Mondays); the bound is 50% of them more or less"
        )


def test_partitions_that_are_no_days_are_compared_with_those_before_them() -> None:
    *others, run = counted(10, 10, 30, keys=("batch-1", "batch-2", "batch-3"))
    assert "(the median of 2 earlier partitions)" in judge.of_run(Alerts(count=1), run, others)["count"]
    assert judge.of_run(Alerts(count=1), others[0], [run]) == {}
    assert judge.of_run(Alerts(), run, others) == {}
    assert judge.alike(run, [*others, run]) == [10, 10]


def test_a_run_that_is_slower_than_the_bound() -> None:
    run = run_row("photos", TUESDAY, 100)  # in ten seconds
    assert judge.of_run(Alerts(images_per_second=10), run, []) == {}
    found = judge.of_run(Alerts(images_per_second=10.5), run, [])
    assert found == {"images_per_second": "10 images a second; the bound is 10.5"}
    assert judge.of_run(Alerts(images_per_second=10.5), run | {"redriven": 3, "ingest_images": 3}, []) == {}
    at_once = run | {"finished_at": run["started_at"]}
    assert images_per_second(at_once) == 100_000
    redriven = run | {"ingest_images": 20, "finished_at": run["started_at"] + dt.timedelta(seconds=4)}
    assert images_per_second(redriven) == 5


@pytest.mark.parametrize(
    ("alerts", "probability", "alert"),
    [
        ({"drift": 0.01}, 0.01, True),
        ({"drift": 0.01}, 0.0105, False),
        ({"drift": 0.01, "drift_least": 0.02}, 0.01, True),
        ({"drift": 0.01, "drift_least": 0.021}, 0.01, False),
        ({}, 0.0005, False),
    ],
)
def test_drift_is_an_alert_beyond_its_level_and_its_least(alerts: dict, probability: float, alert: bool) -> None:
    found = judge.of_vectors(Alerts(**alerts), Drift(0.02, probability, 0.001), ["2026-11-01"])
    assert (found != {}) is alert
    if alert:
        text = "the vectors differ from those of 2026-11-01 by 0.02; chance exceeds 0.001 once in 100 partitions"
        assert found["drift"] == text
    several = judge.of_vectors(Alerts(drift=0.5), Drift(0.02, 0.1, 0.001), ["2026-10-30", "2026-10-31", "2026-11-01"])
    assert several["drift"].startswith("the vectors differ from those of 2026-10-30 to 2026-11-01 by 0.02; chance ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"drift": 0.0001}, "drift: must be at least 0.001 (got 0.0001)"),
        ({"drift": True}, "drift: must not be true or false (got True)"),
        ({"quarantine_rate": 2}, "quarantine_rate: must be at most 1 (got 2)"),
        ({"count": 0}, "count: must be above 0 (got 0)"),
        ({"window": 0}, "window: must be at least 1 (got 0)"),
        ({"notify": "os"}, "notify: must be a module and a name in it, such as my_module.my_notifier (got 'os')"),
        ({"quarantine": 0.1}, "quarantine: unknown field (did you mean quarantine_rate?)"),
    ],
)
def test_what_cannot_be_a_bound_is_refused_in_one_line(given: dict, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Alerts.model_validate(given)
    assert one_line(refused.value, Alerts) == said
