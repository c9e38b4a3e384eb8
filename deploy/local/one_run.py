"""One partition through the DAG in this process, without a scheduler.

python -m deploy.local.one_run DATASET PARTITION OUT

Writes to the file OUT, as JSON, how the run ended and the seconds of each task. Run by `deploy.local.run_partition`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import BundleDagBag
from airflow.settings import DAGS_FOLDER

from imagefeatures.names import dag_id


def main(dataset: str, partition: str, out: Path) -> None:
    folder = Path(DAGS_FOLDER)
    bag = BundleDagBag(folder / "image_features.py", bundle_path=folder, bundle_name="dags-folder")
    dag = bag.dags[dag_id(dataset)]
    run = dag.test(run_conf={"partition": partition}, logical_date=None)
    tasks = [
        {"task": ti.task_id, "tries": ti.try_number, "start": _epoch(ti.start_date), "end": _epoch(ti.end_date)}
        for ti in run.get_task_instances()
        if ti.state in ("success", "failed", "skipped")  # the others never ran
    ]
    out.write_text(json.dumps({"state": run.state, "tasks": tasks}))


def _epoch(moment: object) -> float | None:
    return moment.timestamp() if moment else None  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
