"""The demo's report: every number, and every contradiction between numbers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from demo import photos, report
from imagefeatures import schemas, steps


def runs_row(partition: str, listed: int, rejected: dict[str, int]) -> dict[str, Any]:
    """A consistent row of features.runs, as the table returns it. validate has rejected the quarantined objects."""
    started = dt.datetime(2026, 11, 4, 8, 0, tzinfo=dt.UTC)
    gone = sum(rejected.values())
    row: dict[str, Any] = {
        "partition_key": partition, "dataset": "fruit", "run_id": "r1", "fingerprint": "f", "model": "mobilenet_v2",
        "listed": listed, "registered": listed - gone, "quarantined": gone, "reasons": sorted(rejected.items()),
        "started_at": started, "finished_at": started + dt.timedelta(seconds=41.25), "versions": [("python", "3.11")],
    }  # fmt: skip
    for step, images_in in zip(steps.SPARK_STEPS, (listed, listed, listed - gone, listed - gone), strict=True):
        row |= {f"{step}_seconds": 2.0, f"{step}_images": images_in, f"{step}_bytes": 1000}
    return pa.Table.from_pylist([row], schema=schemas.RUNS).to_pylist()[0]


DAYS = [
    photos.Day("2026-11-01", 467, bad={"a": "TRUNCATED"}),
    photos.Day("2026-11-02", 466, bad={"a": "TRUNCATED", "b": "TRUNCATED", "c": "EMPTY_OBJECT"}),
]


@pytest.fixture
def runs() -> list[dict[str, Any]]:
    return [runs_row(day.partition, day.listed, day.reasons) for day in DAYS]


def test_numbers_that_add_up_pass(runs: list[dict[str, Any]]) -> None:
    assert report.check(runs, DAYS) == []
    assert report.check(list(reversed(runs)), DAYS) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"registered": 466 - 4}, "2026-11-02: 462 registered + 3 quarantined is not 466 listed"),
        ({"reasons": [("TRUNCATED", 2)]}, "3 quarantined, but the reasons sum to 2"),
        ({"reasons": [("TRUNCATED", 3)]}, "quarantined TRUNCATED 3, expected EMPTY_OBJECT 1, TRUNCATED 2"),
        ({"listed": 465, "registered": 462}, "465 listed, the folder holds 466 files"),
        ({"ingest_images": 465}, "465 images came into ingest, 466 were listed"),
        ({"resize_images": 467}, "467 images came into resize, more than the 466 of the step before"),
        ({"featurize_images": 460}, "463 registered, but only 460 came into featurize"),
        ({"finished_at": dt.datetime(2026, 11, 1, tzinfo=dt.UTC)}, "it finished before it started"),
    ],
)
def test_numbers_that_do_not_add_up_are_named(runs: list[dict[str, Any]], change: dict[str, Any], said: str) -> None:
    runs[1] |= change
    assert any(said in line for line in report.check(runs, DAYS))


def test_a_day_must_be_published_once(runs: list[dict[str, Any]]) -> None:
    assert report.check(runs[:1], DAYS) == ["2026-11-02: 0 rows in features.runs, expected 1"]
    assert report.check([*runs, runs[1]], DAYS) == ["2026-11-02: 2 rows in features.runs, expected 1"]


def test_the_report_shows_every_number_and_is_not_too_wide(
    runs: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    runs[0]["featurize_seconds"] = 0.0  # a step may be too quick to measure
    report.print_report(runs, {"2026-11-01": {"plan": 0.4, "ingest": 9.25}, "2026-11-02": {"ingest": 8.0}})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 110
    assert "2026-11-01     467         466            1   TRUNCATED 1" in lines
    second = next(at for at, line in enumerate(lines) if line.startswith("2026-11-02     466"))
    assert lines[second].split() == ["2026-11-02", "466", "463", "3", "EMPTY_OBJECT", "1"]
    assert lines[second + 1].split() == ["TRUNCATED", "2"]
    assert "all            933         929            4   EMPTY_OBJECT 1" in lines
    speeds = [line.split() for line in lines if line.endswith("41.2")]
    assert speeds[0] == ["2026-11-01", "2.00", "234", "2.00", "234", "2.00", "233", "0.00", "–", "41.2"]
    assert ["2026-11-02", "–", "8.0"] in [line.split() for line in lines]
