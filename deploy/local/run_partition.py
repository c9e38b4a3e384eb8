"""`make run`: runs one partition to the end, and prints its progress."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from deploy.local.environment import environment
from imagefeatures import errors
from imagefeatures.dataset_files import find_dataset
from imagefeatures.datasets import RunParams
from imagefeatures.progress import Progress
from imagefeatures.settings import REPOSITORY, Settings

ERROR_NAMES = [name for name, value in vars(errors).items() if isinstance(value, type)]
ERROR_LINE = re.compile(rf"\b(?:{'|'.join(ERROR_NAMES)}): .*")


def run_partition(home: Path, dataset: str, partition: str) -> int:
    """Run a partition through the DAG in one process, without a scheduler. Returns the exit status: 0 if published.

    home: Airflow's folder for such runs. Raises SettingsError, DatasetError or ParamsError before anything runs.
    """
    settings = Settings.from_env()
    find_dataset(settings.datasets, dataset)
    RunParams.parse({"partition": partition})
    (home / "logs").mkdir(parents=True, exist_ok=True)
    log, out = home / "logs" / f"run-{dataset}-{partition}.log", home / f"run-{dataset}-{partition}.json"
    out.unlink(missing_ok=True)
    env = environment(home, 0) | {"PYTHONPATH": str(REPOSITORY)}
    progress = Progress(settings.lake, dataset, [partition])
    with log.open("wb") as sink:
        migrate = ["airflow", "db", "migrate"]
        one_run = [sys.executable, "-m", "deploy.local.one_run", dataset, partition, str(out)]
        migrated = subprocess.run(migrate, env=env, stdout=sink, stderr=sink).returncode == 0  # noqa: S603
        run = subprocess.Popen(one_run, env=env, stdout=sink, stderr=sink) if migrated else None  # noqa: S603
        while run and run.poll() is None:
            progress.tick()
            time.sleep(0.5)
    outcome: dict[str, Any] = json.loads(out.read_text()) if out.is_file() else {"state": "failed", "tasks": []}
    out.unlink(missing_ok=True)
    _print_tasks(outcome["tasks"])
    _print_result(log)
    if outcome["state"] != "success":
        print(f"{outcome['state']}; the whole log: {log}")
    return 0 if outcome["state"] == "success" else 1


def _print_tasks(tasks: list[dict[str, Any]]) -> None:
    started = sorted((task for task in tasks if task["start"] and task["end"]), key=lambda task: task["start"])
    if started:
        total = max(task["end"] for task in started) - started[0]["start"]
        print(f"{total:.0f} s: {', '.join(_seconds(task) for task in started)}")


def _seconds(task: dict[str, Any]) -> str:
    tries = f" ({task['tries']} tries)" if task["tries"] > 1 else ""
    return f"{task['task']} {task['end'] - task['start']:.1f}{tries}"


def _print_result(log: Path) -> None:
    """Print the line that register has printed, or else the last line that names an error of imagefeatures."""
    text = log.read_text(errors="replace")
    published = [line for line in text.splitlines() if re.match(r"(registered|already registered): ", line)]
    lines = published or ERROR_LINE.findall(text)
    if lines:
        print(lines[-1])
