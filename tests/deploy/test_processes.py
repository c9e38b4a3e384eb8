"""How a service is ended with everything below it: real processes, in sessions as Airflow makes them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import processes

SCHEDULER = """
import os, subprocess, sys, time
report = sys.argv[1]
if os.fork() == 0:  # the worker: in the scheduler's group; it reports how its task has ended
    task = subprocess.Popen(["sleep", "1000"], process_group=0)  # the task: in a group of its own
    print(os.getpid(), task.pid, flush=True)
    status = task.wait()
    with open(report, "w") as file:
        file.write(f"failed: {status}")
    os._exit(0)
time.sleep(1000)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(1000)
"""


@contextlib.contextmanager
def service(program: str, *words: object, folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A service as deploy.local.services starts one, and the words of the first line that it has printed."""
    command = [sys.executable, "-c", program, *map(str, words)]
    started = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert started.stdout
    try:
        yield started, started.stdout.readline().split()
    finally:
        processes.end([started.pid], 0)
        started.wait()
        started.stdout.close()


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_schedulers_tasks_end_and_no_worker_reports_that_as_a_failure(tmp_path: Path) -> None:
    with service(SCHEDULER, tmp_path / "report", folder=tmp_path) as (scheduler, (worker, task)):
        assert alive(int(worker))
        processes.end_scheduler([scheduler.pid], 10)
        assert [alive(pid) for pid in (scheduler.pid, int(worker), int(task))] == [False, False, False]
        assert not (tmp_path / "report").exists()


def test_the_tasks_of_a_scheduler_that_was_killed_end_too(tmp_path: Path) -> None:
    with service(SCHEDULER, tmp_path / "report", folder=tmp_path) as (scheduler, (worker, task)):
        scheduler.kill()
        scheduler.wait()
        assert alive(int(task))
        processes.end_scheduler([scheduler.pid], 10)
        assert not alive(int(worker))
        assert not alive(int(task))
        assert not (tmp_path / "report").exists()


def test_a_worker_would_have_reported_it(tmp_path: Path) -> None:
    with service(SCHEDULER, tmp_path / "report", folder=tmp_path) as (_, (_, task)):
        psutil.Process(int(task)).terminate()
        deadline = time.monotonic() + 10
        while not (tmp_path / "report").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (tmp_path / "report").exists()


def test_what_does_not_heed_the_signal_is_killed_when_the_time_is_up(tmp_path: Path) -> None:
    with service(STUBBORN, folder=tmp_path) as (started, _):
        began = time.monotonic()
        processes.end([started.pid], 0.5)
        assert 0.5 <= time.monotonic() - began < 5
        assert started.wait(5) == -9


@pytest.mark.parametrize("end", [processes.end, processes.end_scheduler])
def test_processes_that_work_in_another_folder_are_left_alone(end: object, tmp_path: Path) -> None:
    """The number of a process that has ended may belong to a stranger by now."""
    assert callable(end)
    (tmp_path / "other").mkdir()
    with service(STUBBORN, folder=tmp_path / "other") as (stranger, _):
        end([stranger.pid], 0, tmp_path)
        assert alive(stranger.pid)
        assert psutil.Process(stranger.pid).status() != psutil.STATUS_STOPPED
        end([stranger.pid], 0, tmp_path / "other")
        assert not alive(stranger.pid)
