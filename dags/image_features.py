"""### Image features

Turns one partition of a dataset, a day's images, into rows of the Iceberg table `features.<dataset>`:
one MobileNetV2 vector for each image.

**Run it.** Scheduled runs fill yesterday at midnight UTC. *Trigger* asks for a `partition`, such as
`2026-11-02`. Fill a range with `airflow backfill create --dag-id features_<dataset> --from-date … --to-date …`.

**The promise.** Every listed object ends in `features.<dataset>` or, with a reason, in
`features.quarantine`; numbers that do not add up are never published. Running a partition again
replaces its rows in one commit: nothing is added twice, and readers see the old rows or the new
ones. Any task may be retried; only unfinished shards are done again.

**Configure it** in `datasets/<dataset>.yaml`; docs/configuration.md explains each line.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, Asset, CronPartitionTimetable, dag, task

from imagefeatures import names
from imagefeatures.datasets import Dataset, load_datasets
from imagefeatures.settings import Settings
from imagefeatures_airflow.form import trigger_form
from imagefeatures_airflow.retries import RefuseInputErrors
from imagefeatures_airflow.timetables import OnDemandPartitionTimetable

JOBS = Path(__file__).resolve().parent.parent / "jobs"


def calendar(cron: str | None) -> CronPartitionTimetable | OnDemandPartitionTimetable:
    """One partition a day: a run at midnight fills the day that has just ended. None: nothing starts by itself."""
    if cron:
        return CronPartitionTimetable(cron, timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")
    return OnDemandPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")


def features_dag(dataset: Dataset) -> DAG:
    """The DAG of one dataset."""
    table = Asset(names.table_name(dataset.name), uri=f"iceberg://{names.NAMESPACE}/{dataset.name}")

    @dag(
        dag_id=names.dag_id(dataset.name),
        description=f"{dataset.source} to features.{dataset.name}",
        doc_md=__doc__,
        schedule=calendar(dataset.schedule),
        start_date=datetime.combine(dataset.start_date, time(), UTC),
        catchup=False,
        params=trigger_form(dataset),
        default_args={
            "retries": 2,
            "retry_delay": timedelta(seconds=20),
            "retry_policy": RefuseInputErrors(),  # what a retry cannot mend fails at once
        },
        tags=["image features"],
    )
    def pipeline() -> None:
        @task
        def plan(params: dict[str, Any], partition_key: str | None = None) -> str:
            from imagefeatures_airflow import tasks

            return tasks.plan(dataset.name, params, partition_key)

        @task
        def model(run_file: str) -> dict[str, Any]:
            from imagefeatures_airflow import tasks

            return tasks.model(run_file)

        def spark(step: str) -> SparkSubmitOperator:
            return SparkSubmitOperator(
                task_id=step,
                name=f"{dataset.name}-{step}",
                application=str(JOBS / f"{step}.py"),
                application_args=["--run", run_file],
            )

        @task(outlets=[table])
        def register(run_file: str, *, outlet_events: Any) -> dict[str, Any]:
            from imagefeatures_airflow import tasks

            summary = tasks.register(run_file)
            outlet_events[table].add_partitions(summary["partition_key"])
            outlet_events[table].extra = summary
            return summary

        run_file = plan()
        featurize = spark("featurize")
        run_file >> spark("ingest") >> spark("validate") >> spark("resize") >> featurize >> register(run_file)
        model(run_file) >> featurize

    return pipeline()


for found in load_datasets(Settings.from_env().datasets)[0]:
    globals()[names.dag_id(found.name)] = features_dag(found)
