"""### Re-drive

Takes quarantined objects of published partitions again, and merges what is whole now into
`features.<dataset>`: after a host was away, photos were uploaded anew, or a limit was raised.

**Run it.** *Trigger*, and choose: one partition or every one that has quarantined objects, one reason,
a day from which on they were quarantined, or some URIs. An empty field chooses everything. There is no
schedule. The same by a command: docs/running.md.

**The promise.** Only what was chosen is fetched. Every object stays in exactly one of
`features.<dataset>` and `features.quarantine`. A partition's other rows stay as they are, and readers see
the old rows or the new ones. Where another run of the partition is published meanwhile, nothing is
merged. No share of bad objects ends a re-drive. A partition that cannot be taken again stops no other
one: the task `left_out` fails, and its log names each, with the reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import DAG, dag, task, task_group

from imagefeatures import names
from imagefeatures.datasets import Dataset
from imagefeatures_airflow.building_blocks import ALWAYS, Notify, default_args, steps_after_plan
from imagefeatures_airflow.form import redrive_form

MOST_TASKS = 4
"""So many tasks of a re-drive run at the same time: it may be of hundreds of partitions, each with Spark jobs."""


LEFT_OUT = "left_out"
"""The result of plan, besides the runs: the partitions that it has left out."""


def redrive_dag(dataset: Dataset, folder: Path, notify: Notify = None) -> DAG:
    """The DAG that re-drives a dataset. folder: where `plan` finds the dataset file, when the run starts.

    notify: as `steps_after_plan` has it.
    """

    @dag(
        dag_id=names.redrive_dag_id(dataset.name),
        description=f"Quarantined objects of {dataset.source} again, to {names.table_name(dataset.name)}",
        doc_md=__doc__,
        schedule=None,
        start_date=ALWAYS,
        params=redrive_form(),
        default_args=default_args(),
        max_active_tasks=MOST_TASKS,
        tags=["image features", "re-drive"],
        auto_register=False,  # as in pipeline.py
    )
    def redrive() -> None:
        @task
        def plan(params: dict[str, Any], dag_run: Any = None, ti: Any = None) -> list[str]:
            from imagefeatures_airflow import tasks

            redrives = tasks.plan_redrives(folder, dataset.name, params, dag_run)
            ti.xcom_push(LEFT_OUT, redrives.left_out)
            return redrives.planned

        @task
        def left_out(partitions: dict[str, str]) -> None:
            from imagefeatures_airflow import tasks

            tasks.refuse_left_out(partitions, dataset.name)

        @task_group
        def partition(run_file: Any) -> None:
            steps_after_plan(dataset, run_file, notify)

        run_files = plan()
        partition.expand(run_file=run_files)
        left_out(run_files[LEFT_OUT])  # no partition waits for it: it fails the run, and nothing else

    return redrive()
