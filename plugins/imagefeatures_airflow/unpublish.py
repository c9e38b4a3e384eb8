"""### Take back

Takes rows that were published out of the tables again: of one partition, of single objects, or of the whole
dataset. They leave `features.<dataset>` and the tables of its further models and pixels, `features.quarantine`
and `features.runs`.

**Run it.** *Trigger*, choose a partition or name URIs, and say why. Begin with *Dry run* switched on: the log
then says how many rows would leave, and nothing is changed. There is no schedule. The same by a command:
docs/maintenance.md.

**The promise.** All tables hold the partition as it was, or none does: it is published as a run is, and what
interrupts it is finished by the next run of any dataset. `features.withdrawals` keeps who asked, when and why. The
next run of the partition publishes whatever the source has then. Earlier snapshots still have the rows until they
expire; to have a picture out of those too, forget it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import DAG, dag, task

from imagefeatures import names
from imagefeatures.datasets import Dataset
from imagefeatures_airflow.building_blocks import ALWAYS, default_args
from imagefeatures_airflow.form import unpublish_form


def unpublish_dag(dataset: Dataset, folder: Path) -> DAG:
    """The DAG that takes rows of a dataset back. folder: of the dataset file; nothing of it is read."""

    @dag(
        dag_id=names.unpublish_dag_id(dataset.name),
        description=f"Published rows out of {names.table_name(dataset.name)} again",
        doc_md=__doc__,
        schedule=None,
        start_date=ALWAYS,
        params=unpublish_form(),
        default_args=default_args(),
        tags=["image features", "upkeep"],
        auto_register=False,  # as in pipeline.py
    )
    def unpublish() -> None:
        @task
        def withdraw(params: dict[str, Any], dag_run: Any = None) -> list[str]:
            from imagefeatures_airflow import upkeep_tasks

            return upkeep_tasks.withdraw(dataset.name, params, dag_run)

        withdraw()

    return unpublish()
