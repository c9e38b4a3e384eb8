"""`make run`: runs one partition to the end, and prints its progress."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.local import migration, processes
from deploy.local.environment import environment
from imagefeatures import errors
from imagefeatures.dataset_files import find_dataset
from imagefeatures.plan import settle_partition
from imagefeatures.progress import Progress
from imagefeatures.run_params import RunParams
from imagefeatures.settings import REPOSITORY, Settings, program
from imagefeatures.steps import SPARK_STEPS

ERROR_NAMES = [name for name, value in vars(errors).items() if isinstance(value, type)]
ERROR_LINE = re.compile(rf"\b(?:{'|'.join(ERROR_NAMES)}): .*")
EXCEPTION = re.compile(r"(?:[a-z_]\w*\.)*(?P<name>[A-Z]\w*)(?P<text>: .*)?")
JOB_LINE = re.compile(rf"\b(?:{'|'.join(SPARK_STEPS)}): (?P<reason>[A-Z]\w+: .*)")
PREPARING_LINE = re.compile(r"preparing the model: [^\n]*?(?:…|: [0-9]+\.[0-9] s)")
STOP_SECONDS = 15


def run_partition(home: Path, dataset: str, partition: str | None, given: Mapping[str, str] | None = None) -> int:
    """Run a partition through the DAG in one process, without a scheduler. Returns the exit status: 0 if published.

    Runs of one dataset wait for each other: Airflow's `dag.test` begins by deleting the DAG run that it finds.
    home: Airflow's folder for such runs. partition: None only where the dataset's source has none. given: further run
    parameters. Raises SettingsError, DatasetError or ParamsError before anything runs.
    """
    settings = Settings.from_env()
    params = RunParams.parse({**(given or {}), "partition": partition or None})
    settled = settle_partition(params, None, find_dataset(settings.datasets, dataset))
    conf = params.model_dump(exclude_unset=True, exclude_none=True) | {"partition": settled}
    if given or not partition:
        print(f"{dataset}: {', '.join(f'{name} {value}' for name, value in conf.items())}", flush=True)
    (home / "logs").mkdir(parents=True, exist_ok=True)
    with alone(home / f"run-{dataset}.lock", f"run of {dataset} {settled}") as lock:
        return _run(home, dataset, conf, lock)


@contextlib.contextmanager
def alone(file: Path, what: str) -> Iterator[int]:
    """Hold a lock while the context lasts. Where another process holds it, print one line about that, and wait.

    what: what holds it, for the others' lines. Yields the lock's descriptor: a child process that inherits it holds the
    lock too. The kernel takes it from processes that have ended, however they ended.
    """
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting: another {file.read_text().strip() or 'run'} is under way", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        file.write_text(f"{what} (process {os.getpid()})")
        yield lock.fileno()


def _run(home: Path, dataset: str, conf: dict[str, Any], lock: int) -> int:
    partition = conf["partition"]
    log, out = home / "logs" / f"run-{dataset}-{partition}.log", home / f"run-{dataset}-{partition}.json"
    out.unlink(missing_ok=True)
    env = environment(home, 0) | {"PYTHONPATH": str(REPOSITORY)}
    progress = Progress(Settings.from_env().lake, dataset, [partition])
    progress.say(f"{dataset} {partition}: Airflow starts, in one process; its log: {log}")
    with log.open("wb") as sink:
        with alone(home / "migrate.lock", "migration of Airflow's database"):  # all datasets share it
            migrated = migration.is_current(home, env)
            if not migrated:
                ended = subprocess.run(migration.COMMAND, env=env, stdout=sink, stderr=sink)  # noqa: S603
                if migrated := ended.returncode == 0:
                    migration.remember(home)
        one_run = [sys.executable, "-m", "deploy.local.one_run", dataset, json.dumps(conf), str(out)]
        run = None
        if migrated:
            # It inherits the lock: if this process is killed, the run goes on, and the next one still waits for it.
            # A session of its own: Ctrl-C reaches this process alone, which then ends everything below the other one.
            run = subprocess.Popen(  # noqa: S603
                one_run, env=env, stdout=sink, stderr=sink, pass_fds=[lock], start_new_session=True
            )
            _follow(run, progress, log, f"{program()} run {dataset} {partition} --resume")
    outcome: dict[str, Any] = json.loads(out.read_text()) if out.is_file() else {"state": "failed", "tasks": []}
    out.unlink(missing_ok=True)
    _print_tasks(outcome["tasks"])
    _print_result(log)
    if outcome["state"] != "success":
        print(f"{outcome['state']}; the whole log: {log}")
    return 0 if outcome["state"] == "success" else 1


def _follow(run: subprocess.Popen[bytes], progress: Progress, log: Path, go_on: str) -> None:
    """Print the progress until the run has ended; end it on Ctrl-C. go_on: the command by which it can go on then."""
    told = 0
    try:
        while run.poll() is None:
            lines = PREPARING_LINE.findall(log.read_text(errors="replace"))
            for line in lines[told:]:
                progress.say(line)
            told = len(lines)
            progress.tick()
            time.sleep(0.5)
    except KeyboardInterrupt:
        processes.end([run.pid], STOP_SECONDS)
        run.wait()
        print(f"\nNothing of this run is published. Finished shards are kept; to go on: {go_on}", file=sys.stderr)
        raise


def _print_tasks(tasks: list[dict[str, Any]]) -> None:
    started = sorted((task for task in tasks if task["start"] and task["end"]), key=lambda task: task["start"])
    if started:
        total = max(task["end"] for task in started) - started[0]["start"]
        print(f"{total:.0f} s: {', '.join(_seconds(task) for task in started)}")


def _seconds(task: dict[str, Any]) -> str:
    tries = f" ({task['tries']} tries)" if task["tries"] > 1 else ""
    return f"{task['task']} {task['end'] - task['start']:.1f}{tries}"


def _print_result(log: Path) -> None:
    """Print the line that register has printed, or else the last one that says why the run has ended; and alerts."""
    lines = log.read_text(errors="replace").splitlines()
    published = [line for line in lines if re.match(r"(registered|already registered): ", line)]
    if said := published or reasons(lines):
        print(said[-1])
    for line in dict.fromkeys(line for line in lines if line.startswith("alert: ")):  # a retry says it again
        print(line)


def reasons(lines: list[str]) -> list[str]:
    """The lines of a log that say why something has failed, in order, as `Error: what is wrong`.

    Those that name an error of imagefeatures; the last line of every traceback, whatever it is; and how a Spark job
    ends, which is `step: Error: what is wrong`. That a job has failed is no reason: its own last line is.
    """
    found, in_traceback = [], False
    for line in lines:
        if ours := ERROR_LINE.search(line):
            found.append(ours.group())
        elif in_traceback and (last := EXCEPTION.fullmatch(line.strip())) and not line.startswith((" ", "\t")):
            if "Error code is: " not in line:
                found.append(f"{last.group('name')}{last.group('text') or ''}")
        elif job := JOB_LINE.search(line):
            found.append(job.group("reason"))
        if line.lstrip().startswith("Traceback (most recent call last)"):
            in_traceback = True
        elif in_traceback and line and not line.startswith((" ", "\t")):
            in_traceback = False
    return found
