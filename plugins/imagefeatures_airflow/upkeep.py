"""### Upkeep

Removes what runs leave behind, of all datasets: old snapshots with their files, files of no snapshot, unfinished runs
that were given up, kept rejects, prepared models that no run uses, unfinished uploads to S3, and what the page has kept
on this machine.

**Run it.** Switch the DAG on: it runs at once, for the last Sunday, and then every Sunday at 03:00 UTC. The task `look`
first says in its log what there is, and changes nothing; `remove` removes it. When you *Trigger* it yourself, *Dry run*
is switched on, and `remove` changes nothing either. For how long things stay are settings: docs/maintenance.md. The
same by a command: `imagefeatures upkeep --dry-run`.

**The promise.** Every file that a snapshot names, or that a run may still publish, stays. A table whose folder may be
shared with another catalog is left as it is, and the task fails with its name. It may be stopped at any moment, and run
beside everything else.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, dag, task

from imagefeatures import names
from imagefeatures_airflow.building_blocks import ALWAYS, default_args
from imagefeatures_airflow.form import upkeep_form


def upkeep_dag() -> DAG:
    """The DAG that cleans up. There is one for all datasets."""

    @dag(
        dag_id=names.UPKEEP_DAG,
        description="What runs leave behind, out of the lake: old snapshots, files of none, runs that were given up",
        doc_md=__doc__,
        schedule="0 3 * * 0",
        start_date=ALWAYS,
        catchup=False,
        params=upkeep_form(),
        default_args=default_args(),
        max_active_runs=1,
        is_paused_upon_creation=True,  # nothing is removed unless somebody has switched it on
        tags=["image features", "upkeep"],
        auto_register=False,  # as in pipeline.py
    )
    def upkeep() -> None:
        @task
        def look() -> dict[str, dict[str, int]]:
            from imagefeatures_airflow import upkeep_tasks

            return upkeep_tasks.upkeep({"dry_run": True})

        @task
        def remove(params: dict[str, Any], dag_run: Any = None) -> dict[str, dict[str, int]]:
            from imagefeatures_airflow import upkeep_tasks

            return upkeep_tasks.upkeep(params, dag_run)

        look() >> remove()

    return upkeep()
