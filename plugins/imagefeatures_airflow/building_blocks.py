"""The parts of this service's DAGs: asset, timetable, default arguments, the tasks after plan, Spark jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import Asset, XComArg, task

from imagefeatures import names
from imagefeatures.datasets import FIRST_DAY, Dataset
from imagefeatures.steps import SPARK_STEPS
from imagefeatures_airflow.retries import RefuseInputErrors
from imagefeatures_airflow.timetables import DailyPartitionTimetable, OnDemandPartitionTimetable

JOBS = "imagefeatures_spark"

Notifier = Callable[[Any], object]
Notify = Notifier | Sequence[Notifier] | None
"""As Airflow has its callbacks: a function of the context or a BaseNotifier; or several."""


def asset(table: str) -> Asset:
    """A table of a dataset as an Airflow asset: `register` updates it, and other DAGs may be scheduled on it."""
    return Asset(names.table_name(table), uri=f"iceberg://{names.NAMESPACE}/{table}")


def predictions_asset(dataset: str) -> Asset:
    """The table of a dataset's predictions, which the task `publish` of `classify_<dataset>` updates."""
    table = names.predictions(dataset)
    return Asset(f"{names.LEARNING}.{table}", uri=f"iceberg://{names.LEARNING}/{table}")


ALWAYS = datetime.combine(FIRST_DAY, time(), UTC)
"""The start_date of every DAG. Of a run with an earlier logical date Airflow makes no task at all, and calls it a
success. So the first scheduled run of a dataset is its calendar's business."""


def calendar(cron: str | None, first: date) -> DailyPartitionTimetable:
    """One partition a day: a run at midnight fills the day that has just ended.

    cron: None for no scheduled runs. first: the first day at whose midnight there is one.
    """
    kind = DailyPartitionTimetable if cron else OnDemandPartitionTimetable
    found = kind(cron or "0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")
    found.first = first
    return found


def default_args() -> dict[str, Any]:
    """The arguments of all tasks: two retries, except of errors that a retry cannot fix."""
    return {"retries": 2, "retry_delay": timedelta(seconds=20), "retry_policy": RefuseInputErrors()}


def steps_after_plan(dataset: Dataset, run_file: Any, notify: Notify = None) -> None:
    """The tasks of a run that is planned. run_file: its run.json, as `plan` returns it.

    notify: what is called where an alert is raised, besides what the dataset file names.
    """
    name, assets = dataset.name, list(map(asset, dataset.tables))

    @task
    def model(run_file: str) -> dict[str, Any]:
        from imagefeatures_airflow import tasks

        return tasks.model(run_file, name)

    @task(outlets=assets)
    def register(run_file: str, *, outlet_events: Any) -> dict[str, Any]:
        from imagefeatures_airflow import tasks

        summary = tasks.register(run_file, name)
        for table in assets:
            outlet_events[table].add_partitions(summary["partition_key"])
            outlet_events[table].extra = summary
        return summary

    @task
    def statistics(run_file: str) -> dict[str, Any]:
        from imagefeatures_airflow import statistics_task

        return statistics_task.statistics(run_file, dataset, notify)

    ingest, validate, resize, featurize = (submit(step, name, run_file) for step in SPARK_STEPS)
    ingest >> validate >> resize >> featurize >> register(run_file) >> statistics(run_file)
    model(run_file) >> featurize


def submit(step: str, dataset: str, run_file: XComArg, argument: str = "--run") -> SparkSubmitOperator:
    """The Spark job of a step, sent to the cluster of the connection `spark_default`.

    run_file: the URI of run.json, as `plan` returns it; the job's only argument. The job refuses the run of another
    dataset, because users who may edit what `plan` has returned could put any URI there. argument: its name.
    """
    return SparkSubmitOperator(
        task_id=step,
        name=f"{dataset}-{step}",
        application=_script(step),
        application_args=[argument, run_file],
        conf={names.DATASET_CONF: dataset},
    )


def _script(step: str) -> str:
    """The file of a job, in the checkout or in site-packages. It is not imported: Airflow itself never runs Spark."""
    spec = find_spec(JOBS)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {JOBS} is not installed here", name=JOBS)
    return str(Path(spec.submodule_search_locations[0]) / f"{step}.py")
