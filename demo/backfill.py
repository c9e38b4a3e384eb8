"""The demo's backfill: three days through a real scheduler, with progress printed while they run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from demo.photos import DATASET, PARTITIONS
from deploy.local.api import Api
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.names import dag_id
from imagefeatures.progress import Progress

DAG = dag_id(DATASET)
AT_ONCE = 2  # days that run at once: while one starts a JVM, the other computes
APPEAR_SECONDS = 120


class DemoFailed(ImageFeaturesError):
    """A day of the backfill failed. The text names the task and the folder of its logs."""


def backfill(api: Api, lake: str, logs: Path) -> list[dict[str, Any]]:
    """Backfill the demo's days again, whether or not they ran before. Returns each day's DAG run with its `tasks`.

    logs: Airflow's folder of task logs, for the error text. Raises DemoFailed when a day failed.
    """
    _wait_for_dag(api)
    _clear_the_way(api)
    api.patch(f"/api/v2/dags/{DAG}", {"is_paused": False})
    request = {
        "dag_id": DAG,
        "from_date": f"{PARTITIONS[0]}T00:00:00Z",
        "to_date": f"{PARTITIONS[-1]}T00:00:00Z",
        "reprocess_behavior": "completed",
        "max_active_runs": AT_ONCE,
        "dag_run_conf": {},
    }
    progress = Progress(lake, DATASET, PARTITIONS)  # before the runs start: what staging holds now is old
    created = api.post("/api/v2/backfills", request)
    while not api.get(f"/api/v2/backfills/{created['id']}")["completed_at"] and not _all_ended(api):
        progress.tick()
        time.sleep(1)
    progress.tick()
    runs = [run | {"tasks": api.tasks(DAG, run["dag_run_id"])} for run in _runs(api)]
    for run in runs:
        if run["state"] != "success":
            place = logs / f"dag_id={DAG}" / f"run_id={run['dag_run_id']}"
            failed = ", ".join(task["task_id"] for task in run["tasks"] if task["state"] == "failed")
            raise DemoFailed(f"{run['partition_key']} {run['state']} in {failed or 'no task'}; its logs: {place}")
    return runs


def _wait_for_dag(api: Api) -> None:
    deadline = time.monotonic() + APPEAR_SECONDS
    while not api.get(f"/api/v2/dags?dag_id_pattern={quote(DAG)}&exclude_stale=true")["dags"]:
        if time.monotonic() > deadline:
            errors = api.get("/api/v2/importErrors")["import_errors"]
            raise DemoFailed(f"{DAG} did not appear: {[error['stack_trace'] for error in errors]}")
        time.sleep(0.5)


def _clear_the_way(api: Api) -> None:
    """End the backfill and the runs of an interrupted demo: Airflow allows one backfill per DAG at a time."""
    for earlier in api.get(f"/api/v2/backfills?dag_id={quote(DAG)}&limit=100")["backfills"]:
        if not earlier["completed_at"]:
            api.put(f"/api/v2/backfills/{earlier['id']}/cancel")
    for run in _runs(api):
        if run["state"] in ("queued", "running"):
            run_id = quote(run["dag_run_id"], safe="")
            api.patch(f"/api/v2/dags/{DAG}/dagRuns/{run_id}", {"state": "failed"})


def _runs(api: Api) -> list[dict[str, Any]]:
    """The newest run of each day, in order of day."""
    newest: dict[str, dict[str, Any]] = {}
    for run in api.get(f"/api/v2/dags/{DAG}/dagRuns?order_by=-id&limit=100")["dag_runs"]:
        if run["partition_key"] in PARTITIONS:
            newest.setdefault(run["partition_key"], run)
    return [newest[day] for day in sorted(newest)]


def _all_ended(api: Api) -> bool:
    runs = _runs(api)
    return len(runs) == len(PARTITIONS) and all(run["state"] in ("success", "failed") for run in runs)
