"""The bodies of the tasks that run in Airflow's own workers. They call imagefeatures, which does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from imagefeatures.datasets import RunParams, find_dataset
from imagefeatures.plan import load_run, plan_run
from imagefeatures.settings import Settings


def plan(folder: Path, dataset: str, params: dict[str, Any], partition_key: str | None) -> str:
    """Settle the run of a dataset whose file is in that folder. Returns the URI of its run.json."""
    return plan_run(find_dataset(folder, dataset), RunParams.parse(dict(params)), partition_key, Settings.from_env())


def model(run_file: str) -> dict[str, Any]:
    """Make sure that the lake holds the run's model, verified. Returns what was measured."""
    from imagefeatures.models.prepare import prepare

    settings, run = Settings.from_env(), load_run(run_file)
    return prepare(run.model, run.preprocessing, settings.lake, settings.cache)


def register(run_file: str) -> dict[str, Any]:
    """Publish the run. Returns its summary; skips when there was nothing to publish."""
    from imagefeatures.steps.register import EMPTY, register

    outcome = register(run_file, Settings.from_env())
    if outcome.state == EMPTY:
        raise AirflowSkipException("nothing was listed: the published partition stays as it is")
    print(outcome)
    return outcome.summary
