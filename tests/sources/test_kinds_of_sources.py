"""Every kind of source by whole runs: each object in one table, resumed, reused, and stopped by its budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import local, read, shards, steps
from imagefeatures.errors import NoInput, TooManyRejected, WorkerDied
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from imagefeatures.workers import ThisProcess
from support.catalog_doors import EVERY_DOOR
from support.disturbed_work import Disturbed, Forbidden
from support.doors import Door
from support.shared import BUCKET, PARTITION, THIS_PROCESS, MakeRun

SHARD_IMAGES = 4


QUICK = ("uri_list_of_lines", "table_of_parquet", "parquet_of_bytes", "tar_shards")
"""One of each kind, for every change; the others, S3, cut off runs and budgets are for make test-cluster."""


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.long)])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of an empty folder, once in each kind of store."""
    if request.param == "file":
        return f"file://{tmp_path}/in here"
    request.getfixturevalue("s3")
    return f"s3://{BUCKET}/in here"


@pytest.fixture(params=[pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long]) for name in EVERY_DOOR])
def door(request: pytest.FixtureRequest, base: str, settings: Settings) -> Door:
    return EVERY_DOOR[request.param](base)


@pytest.fixture
def make(make_run: MakeRun, door: Door) -> Callable[..., Run]:
    def make(**fields: Any) -> Run:
        return make_run(door.source, {"shard_images": SHARD_IMAGES}, **{"limits": {"max_rejected": 0.5}} | fields)

    return make


def check(door: Door, settings: Settings, run: Run) -> None:
    """Every object of the door is in exactly one table, with its key and label, and the counts agree."""
    rows = read.table(settings, "photos").to_pylist()
    assert {row["uri"]: (row["key"], row["label"]) for row in rows} == door.good
    quarantined = read.table(settings, "quarantine").to_pylist()
    assert {row["uri"]: row["reason"] for row in quarantined} == door.rejected
    (counts,) = read.runs(settings)
    assert (counts["registered"], counts["quarantined"]) == (len(rows), len(quarantined))
    assert (len(rows), len(quarantined)) == (len(door.good), len(door.rejected))
    assert dict(counts["passed_over"]) == door.passed
    assert {row["run_id"] for row in rows + quarantined} == {run.run_id}
    assert all(row["etag"] for row in rows)


def test_each_object_is_in_one_table_and_a_second_run_reuses_it(
    make: Callable[..., Run], door: Door, settings: Settings
) -> None:
    first = make()
    local.run_steps(first, THIS_PROCESS)
    register.register(first.layout.run_file, settings)
    check(door, settings, first)
    second = make()
    local.run_steps(second, ThisProcess(StepRunner(Forbidden())))
    outcome = register.register(second.layout.run_file, settings)
    assert (outcome.summary["reused"], outcome.summary["computed"]) == (len(door.good), 0)
    check(door, settings, second)


@pytest.mark.long
def test_a_run_whose_worker_was_killed_goes_on_with_the_shards_that_are_left(
    make: Callable[..., Run], door: Door, settings: Settings, tmp_path: Path
) -> None:
    run = make()
    notes = [tmp_path / "before", tmp_path / "after"]
    for folder in notes:
        folder.mkdir()
    with pytest.raises(WorkerDied), local.open_workers(2, Disturbed(notes[0], {("ingest", 1): "die"})) as workers:
        local.run_steps(run, workers)
    kept = {("ingest", receipt.shard) for receipt in shards.read_receipts(run.layout, "ingest")}
    assert ("ingest", 1) not in kept
    resumed = Disturbed(notes[1])
    local.run_steps(run, ThisProcess(resumed))
    assert not kept & set(resumed.done)
    assert {step for step, _ in resumed.done} == set(steps.SPARK_STEPS)
    register.register(run.layout.run_file, settings)
    check(door, settings, run)


@pytest.mark.long
def test_a_spent_budget_stops_the_run_before_anything_is_decoded(make: Callable[..., Run], door: Door) -> None:
    run = make(limits={"max_rejected": 0.05})
    total = len(door.good) + len(door.rejected)
    with pytest.raises(TooManyRejected, match=rf"^{len(door.rejected)} of {total} objects rejected"):
        local.run_steps(run, THIS_PROCESS)
    assert shards.read_receipts(run.layout, "resize") == []


@pytest.mark.long
def test_a_partition_that_is_not_there_is_no_input(make_run: MakeRun, door: Door) -> None:
    said = "has no row where day = '2026-11-03'" if "iceberg" in door.source else f"the nearest: .*{PARTITION}"
    with pytest.raises(NoInput, match=said):
        make_run(door.source, partition="2026-11-03")
