"""The fixed cost of a run: 20 photos, from the trigger to the published table, and `make run` all in all.

    python -m benchmarks.fixed_cost [repetitions] [another checkout]

A second checkout, such as the version before, takes turns with this one, each by the interpreter of its own `.venv`
(`make setup` there), with a lake of its own. Four figures, in seconds:

    trigger     a running Airflow: from the moment when the run is queued to the end of the task register
    make run    the command from its start to its end, on a lake with the model
    fresh lake  the same on an empty lake
    more        the difference of the last two, within a repetition
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from benchmarks import photos, pipeline
from deploy.local.api import Api
from deploy.local.environment import environment
from deploy.local.services import airflow
from imagefeatures.names import dag_id
from imagefeatures.settings import REPOSITORY, Settings

FEW = 20
TARGETS = {"trigger": 15, "make run": 24, "more": 3}
TIMEOUT_SECONDS = 600


def main(repetitions: int, *others: str) -> None:
    with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as name:
        folder = Path(name)
        made = photos.lay_out(photos.read_demo_photos(Settings.from_env().cache), folder / "photos", [FEW])
        checkouts = [str(REPOSITORY), *others]
        seconds: dict[tuple[str, str], list[float]] = {}
        load = [os.getloadavg()[0]]
        for repetition in range(1, repetitions + 1):
            for number, checkout in enumerate(checkouts):
                found = _measured(checkout, folder / str(number), made[FEW])
                found["more"] = found["fresh lake"] - found["make run"]
                for figure, taken in found.items():
                    seconds.setdefault((checkout, figure), []).append(taken)
                text = ", ".join(f"{figure} {taken:.1f} s" for figure, taken in found.items())
                print(f"{repetition}, {Path(checkout).name}: {text}", flush=True)
            load.append(os.getloadavg()[0])
    print(f"Load before the first repetition and after each: {', '.join(f'{x:.1f}' for x in load)}.")
    print(f"| {FEW} photos, s (target) | {' | '.join(Path(checkout).name for checkout in checkouts)} |")
    print(f"| --- |{' --- |' * len(checkouts)}")
    for figure in ("trigger", "make run", "fresh lake", "more"):
        target = f" (≤ {TARGETS[figure]})" if figure in TARGETS else ""
        columns = [seconds[checkout, figure] for checkout in checkouts]
        cells = [f"{statistics.median(of):.1f} ({min(of):.1f} to {max(of):.1f})" for of in columns]
        print(f"| {figure}{target} | {' | '.join(cells)} |")


def work(folder: Path, made: Path) -> dict[str, float]:
    """Measure once, by this process's own checkout. folder: of the deployment, which stays for the next repetition."""
    deployment = pipeline.Deployment(folder)
    known = (folder / "datasets").is_dir()
    deployment.make({FEW: made})
    if not known:
        pipeline.whole_run(deployment, FEW)  # Airflow makes its database
    warm = pipeline.whole_run(deployment, FEW).wall
    shutil.rmtree(folder / "lake")
    (folder / "lake").mkdir()
    fresh = pipeline.whole_run(deployment, FEW).wall
    return {"trigger": triggered(deployment), "make run": warm, "fresh lake": fresh}


def triggered(deployment: pipeline.Deployment) -> float:
    """Seconds of the second of two runs through a running Airflow: the first one loads what stays loaded."""

    def variables(home: Path, port: int) -> dict[str, str]:
        return environment(home, port) | deployment.variables

    dag = dag_id(f"photos{FEW}")
    with airflow(deployment.folder / "running", variables=variables) as api:
        _wait(lambda: bool(api.get(f"/api/v2/dags?dag_id_pattern={quote(dag)}&exclude_stale=true")["dags"]))
        api.patch(f"/api/v2/dags/{dag}", {"is_paused": False})
        return [_run(api, dag) for _ in range(2)][-1]


def _run(api: Api, dag: str) -> float:
    body = {"logical_date": None, "conf": {"partition": pipeline.PARTITION}}
    run = api.post(f"/api/v2/dags/{dag}/dagRuns", body)
    path = f"/api/v2/dags/{dag}/dagRuns/{quote(run['dag_run_id'], safe='')}"
    _wait(lambda: api.get(path)["state"] in ("success", "failed"))
    tasks = {task["task_id"]: task for task in api.tasks(dag, run["dag_run_id"])}
    if tasks["register"]["state"] != "success":
        raise RuntimeError(f"not published: {[(name, task['state']) for name, task in tasks.items()]}")
    published, queued = tasks["register"]["end_date"], run["queued_at"]
    return (datetime.fromisoformat(published) - datetime.fromisoformat(queued)).total_seconds()


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Airflow took more than {TIMEOUT_SECONDS} s")
        time.sleep(0.5)


def _measured(checkout: str, folder: Path, made: Path) -> dict[str, float]:
    path = os.pathsep.join([checkout, f"{checkout}/plugins", f"{checkout}/jobs"])
    python = Path(checkout) / ".venv" / "bin" / "python"  # whose jobs are those of its checkout
    python = python if Path(checkout) != REPOSITORY else Path(sys.executable)
    done = subprocess.run(  # noqa: S603 - this file
        [str(python), __file__, "--work", str(folder), str(made)],
        cwd=checkout,  # where `python -c` looks for modules first
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{checkout}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        print(json.dumps(work(Path(sys.argv[2]), Path(sys.argv[3]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, *sys.argv[2:])
