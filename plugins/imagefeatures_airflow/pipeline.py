"""### Image features

Turns one partition of a dataset, a day's images, into rows of the Iceberg table `features.<dataset>`:
one vector for each image. Of a dataset with several models each other one fills a table of its own,
`features.<dataset>__<model>`, with the same images.

**Run it.** Scheduled runs fill yesterday at midnight UTC. *Trigger* fills the day that its form names:
`yesterday`, `today`, or one such as `2026-11-02`. For a range of days press *Trigger* and choose
*Backfill*: from 2026-11-02 to 2026-11-04 is 3 partitions, first and last included. Type the days and
leave the times empty; your browser's time zone does not matter. Days to come are left out. The same by
a command: docs/running.md.

**The promise.** Every listed object ends in `features.<dataset>` or, with a reason, in
`features.quarantine`; numbers that do not add up are never published. Running a partition again
replaces its rows in one commit: nothing is added twice, and readers see the old rows or the new
ones. Any task may be retried; only unfinished shards are done again.

**Alerts.** The task `statistics` comes after the publication: it compares the partition with earlier ones, and
marks what is out of the bounds of `alerts` in the dataset file. What is published stays as it is, whatever it
finds: docs/quality.md.

**Configure it** in the dataset file `<dataset>.yaml`; docs/configuration.md explains each line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import DAG, dag, task

from imagefeatures import names
from imagefeatures.datasets import Dataset
from imagefeatures_airflow.building_blocks import ALWAYS, Notify, calendar, default_args, steps_after_plan
from imagefeatures_airflow.form import trigger_form


def features_dag(dataset: Dataset, folder: Path, notify: Notify = None) -> DAG:
    """The DAG of one dataset. folder: where `plan` finds the dataset file, when the run starts.

    notify: as `steps_after_plan` has it.
    """

    @dag(
        dag_id=names.dag_id(dataset.name),
        description=f"{dataset.source} to {names.table_name(dataset.name)}",
        doc_md=__doc__,
        schedule=calendar(dataset.schedule, dataset.start_date),
        start_date=ALWAYS,
        catchup=False,
        params=trigger_form(dataset),
        default_args=default_args(),
        tags=["image features"],
        # Airflow takes the DAGs that `feature_dags` returns, never one whose making has failed half-way.
        auto_register=False,
    )
    def pipeline() -> None:
        @task
        def plan(params: dict[str, Any], partition_key: str | None = None, dag_run: Any = None, ti: Any = None) -> str:
            from imagefeatures_airflow import tasks

            return tasks.plan(folder, dataset.name, params, partition_key, dag_run, ti and ti.xcom_push)

        steps_after_plan(dataset, plan(), notify)

    return pipeline()
