"""A table of each kind of catalog as the source of whole runs, with its files in a folder or in MinIO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagefeatures import local
from imagefeatures.datasets import Dataset
from imagefeatures.errors import InputError
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from imagefeatures.workers import ThisProcess
from support.catalog_doors import doors_of_the_catalog
from support.days_of_doors import check_partition
from support.disturbed_work import Forbidden
from support.shared import THIS_PROCESS

DAYS = ("2026-11-02", "2026-11-03")


@pytest.mark.parametrize("deployment", ["on_sqlite", "on_postgresql_and_s3", "on_rest"])
def test_days_of_a_table_are_whole_runs_and_a_second_one_reuses_every_vector(
    deployment: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings: Settings = request.getfixturevalue(deployment)
    base = "s3://lake/elsewhere" if settings.lake.startswith("s3://") else f"file://{tmp_path}/else where"
    doors = doors_of_the_catalog(base, DAYS)
    for day, door in doors.items():
        known = 0 if day == DAYS[0] else len(door.good)  # the same images on each day
        assert published(settings, door.source, day, THIS_PROCESS)["reused"] == known
        again = published(settings, door.source, day, ThisProcess(StepRunner(Forbidden())))
        assert again["reused"] == len(door.good)
    for day, door in doors.items():
        check_partition(door, settings, "photos", day)
    source = {**doors[DAYS[0]].source, "filter": "meta.noise = 'x'"}
    with pytest.raises(InputError, match=r"filter names meta\.noise, which lies inside a column"):
        published(settings, source, DAYS[0], THIS_PROCESS)


def published(settings: Settings, source: dict[str, Any], day: str, workers: ThisProcess) -> dict[str, Any]:
    """The summary of a whole run."""
    dataset = Dataset.model_validate({"name": "photos", "source": source, "limits": {"max_rejected": 0.5}})
    run = load_run(plan_run(dataset, RunParams.parse({"shard_images": 4}), day, settings))
    local.run_steps(run, workers)
    return dict(register.register(run.layout.run_file, settings).summary)
