"""A backfill and a manual trigger, from a real scheduler to the published tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from demo import photos, report
from deploy.local.api import Api
from imagefeatures import read
from support.airflow_session import DAYS, Deployment, ended, trigger

Published = dict[str, dict[str, Any]]
Layout = tuple[Path, list[photos.Day]]


def test_both_backfilled_days_succeed(published: Published) -> None:
    assert {day: run["state"] for day, run in published.items()} == dict.fromkeys(DAYS, "success")


def test_every_listed_object_is_registered_or_quarantined(
    published: Published, deployment: Deployment, layout: Layout
) -> None:
    folder, days = layout
    runs = [row for row in read.table(deployment.settings, "runs").to_pylist() if row["dataset"] == "fruit"]
    assert report.check(sorted(runs, key=lambda row: row["partition_key"]), days[: len(DAYS)]) == []
    laid_out = (path for day in DAYS for path in (folder / photos.DATASET / day).rglob("*") if path.is_file())
    on_disk = {f"file://{path}" for path in laid_out}
    registered = read.table(deployment.settings, "fruit", columns=("uri",))["uri"].to_pylist()
    quarantine = read.table(deployment.settings, "quarantine").to_pylist()
    rejected = [row["uri"] for row in quarantine if row["dataset"] == "fruit"]
    assert sorted(registered + rejected) == sorted(on_disk)


def test_each_bad_file_has_its_reason(published: Published, deployment: Deployment, layout: Layout) -> None:
    folder, days = layout
    expected = {
        f"file://{folder}/{photos.DATASET}/{day.partition}/{name}": reason
        for day in days[: len(DAYS)]
        for name, reason in day.bad.items()
    }
    quarantine = read.table(deployment.settings, "quarantine").to_pylist()
    assert {row["uri"]: row["reason"] for row in quarantine if row["dataset"] == "fruit"} == expected


def test_staging_is_removed_after_publication(published: Published, deployment: Deployment) -> None:
    lake = Path(deployment.settings.lake.removeprefix("file://"))
    assert not [path for path in (lake / "staging" / "fruit").rglob("*") if path.is_file()]


def test_each_publication_is_an_asset_event_with_its_partition(published: Published, api: Api) -> None:
    events = api.get("/api/v2/assets/events?limit=100")["asset_events"]
    fruit = [event for event in events if event["extra"].get("dataset") == "fruit"]
    assert sorted(event["partition_key"] for event in fruit) == list(DAYS)
    assert all(event["extra"]["listed"] > 0 for event in fruit)


@pytest.mark.long
def test_a_day_triggered_by_hand_replaces_its_rows_with_the_same_vectors(
    published: Published, api: Api, deployment: Deployment
) -> None:
    columns = ("partition_key", "uri", "features", "run_id")
    before = read.table(deployment.settings, "fruit", columns=columns).to_pylist()
    run = ended(api, trigger(api, "fruit", partition=DAYS[1], reuse=False))
    assert (run["state"], run["run_type"]) == ("success", "manual")
    after = read.table(deployment.settings, "fruit", columns=columns).to_pylist()

    def vectors(rows: list[dict[str, Any]]) -> list[tuple[str, list[float]]]:
        return sorted((row["uri"], row["features"]) for row in rows)

    def runs_of(rows: list[dict[str, Any]], day: str) -> set[str]:
        return {row["run_id"] for row in rows if row["partition_key"] == day}

    reused = {row["partition_key"]: row["reused"] for row in read.runs(deployment.settings, "fruit")}
    assert reused[DAYS[1]] == 0  # computed again
    assert vectors(after) == vectors(before)
    assert runs_of(after, DAYS[0]) == runs_of(before, DAYS[0])
    assert len(runs_of(after, DAYS[1])) == 1
    assert runs_of(after, DAYS[1]).isdisjoint(runs_of(before, DAYS[1]))
