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

from airflow.configuration import AIRFLOW_HOME
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.sdk import DAG
from airflow.settings import DAGS_FOLDER
from airflow.utils.session import create_session

from deploy.local.run_partition import alone
from imagefeatures.names import dag_id

BUNDLE = "dags-folder"


def main(dataset: str, conf: dict[str, Any], out: Path) -> None:
    run = written_dags()[dag_id(dataset)].test(run_conf=conf, logical_date=None)
    tasks = [
        {"task": ti.task_id, "tries": ti.try_number, "start": _epoch(ti.start_date), "end": _epoch(ti.end_date)}
        for ti in run.get_task_instances()
        if ti.state in ("success", "failed", "skipped")  # all other tasks never ran
    ]
    out.write_text(json.dumps({"state": run.state, "tasks": tasks}))


def written_dags() -> dict[str, DAG]:
    """The DAGs of the folder by their ids, once Airflow's database has them.

    `dag.test` writes them too, and processes that insert the same DAG at once violate its key. So they take turns here,
    and `dag.test` finds nothing to insert.
    """
    bag = BundleDagBag(DAGS_FOLDER, bundle_path=Path(DAGS_FOLDER), bundle_name=BUNDLE)
    with alone(Path(AIRFLOW_HOME) / "dags.lock", "writing of DAGs"):
        with create_session() as session:
            DagBundlesManager().sync_bundles_to_db(session=session)  # type: ignore[no-untyped-call]
        sync_bag_to_db(bag, BUNDLE, None)
    return bag.dags


def _epoch(moment: datetime | None) -> float | None:
    """Seconds since the epoch."""
    return moment.timestamp() if moment else None


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]))
