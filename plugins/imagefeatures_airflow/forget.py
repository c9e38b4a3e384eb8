"""### Forget

Removes images for good, of all datasets: from every table with its earlier snapshots, from kept rejects,
unfinished runs, and exports below the lake. They are put on a list by which every later run rejects them as
`FORGOTTEN`.

**Run it.** *Trigger*, give ids (the column `image_id`) or URIs, and say why. Begin with *Dry run* switched on: the
log then says where they are, and nothing is changed. There is no schedule. The same by a command:
docs/maintenance.md.

**The promise.** When the task has succeeded, a whole search of the lake has found nothing of them any more. All
other rows are as they were. What interrupts it is finished by the next run of this DAG, or of the command.
`features.forgotten` keeps who asked, when and why, and no image. It cannot be undone. The log ends with what is
not this service's to delete: the source, versions that a bucket keeps, backups, and classifiers.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, dag, task

from imagefeatures import names
from imagefeatures_airflow.building_blocks import ALWAYS, default_args
from imagefeatures_airflow.form import forget_form


def forget_dag() -> DAG:
    """The DAG that forgets images. There is one for all datasets."""

    @dag(
        dag_id=names.FORGET_DAG,
        description="Images out of all tables, files and snapshots, and out of all runs to come",
        doc_md=__doc__,
        schedule=None,
        start_date=ALWAYS,
        params=forget_form(),
        default_args=default_args(),
        max_active_runs=1,  # two would delete each other's files while they are read
        tags=["image features", "upkeep"],
        auto_register=False,  # as in pipeline.py
    )
    def forget() -> None:
        @task
        def remove(params: dict[str, Any], dag_run: Any = None) -> None:
            from imagefeatures_airflow import upkeep_tasks

            upkeep_tasks.forget(params, dag_run)

        remove()

    return forget()
