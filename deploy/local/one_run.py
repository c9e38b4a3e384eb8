"""Runs one partition through the DAG in this process, without a scheduler.

    python -m deploy.local.one_run DATASET CONF OUT

CONF is the DAG run's conf as JSON: the partition, and further run parameters.

Writes the state of the run, and the tries and times of each task, to the file OUT as JSON. `deploy.local.run_partition`
starts it.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import BundleDagBag
from airflow.settings import DAGS_FOLDER

from imagefeatures.names import dag_id


def main(dataset: str, conf: dict[str, Any], out: Path) -> None:
    folder = Path(DAGS_FOLDER)
    bag = BundleDagBag(folder / "image_features.py", bundle_path=folder, bundle_name="dags-folder")
    dag = bag.dags[dag_id(dataset)]
    run = dag.test(run_conf=conf, logical_date=None)
    tasks = [
        {"task": ti.task_id, "tries": ti.try_number, "start": _epoch(ti.start_date), "end": _epoch(ti.end_date)}
        for ti in run.get_task_instances()
        if ti.state in ("success", "failed", "skipped")  # all other tasks never ran
    ]
    out.write_text(json.dumps({"state": run.state, "tasks": tasks}))


def _epoch(moment: datetime | None) -> float | None:
    """Seconds since the epoch."""
    return moment.timestamp() if moment else None


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]))
