"""A service of Airflow and everything below it: how it is ended, and how it has ended.

A service is started in a session of its own. Its tasks, their JVMs and Python workers have process groups of their own,
and stay in that session, whoever their parent is by then.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def end_with_parent() -> None:
    """On Linux: let the kernel send SIGTERM to this process as soon as the thread that started it ends."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def how_it_ended(process: subprocess.Popen[bytes]) -> str:
    status = process.returncode
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"


def end(leaders: Iterable[int], seconds: float, folder: Path | None = None) -> None:
    """End sessions: SIGTERM to each process, and SIGKILL to those that are there after that many seconds.

    leaders: the first processes of the sessions; they may have ended. folder: leave processes alone that work in
    another one, where the leaders' numbers may belong to strangers by now.
    """
    wanted = set(leaders)
    _signal(_members(wanted, folder), signal.SIGTERM)
    _wait(lambda: _members(wanted, folder), seconds)
    while left := _members(wanted, folder):  # again: one of them may have been starting another
        _signal(left, signal.SIGKILL)
        time.sleep(0.05)


def end_scheduler(leaders: Iterable[int], seconds: float, folder: Path | None = None) -> None:
    """End schedulers and their tasks, as `end` does, but so that no task tells Airflow that it has failed.

    A task that is ended by SIGTERM says so through the worker that has started it, and that costs it a try. So the
    workers are killed first: they alone are in the scheduler's process group.
    """
    wanted = set(leaders)
    alive = _members(wanted, folder) & wanted
    _signal(alive, signal.SIGSTOP)  # else it would start workers in place of those that end
    _signal({pid for pid in _members(wanted, folder) - alive if _group(pid) in wanted}, signal.SIGKILL)
    _signal(alive, signal.SIGTERM)
    _signal(alive, signal.SIGCONT)
    end(wanted, seconds, folder)


def _members(leaders: set[int], folder: Path | None) -> set[int]:
    """The processes of the sessions. A process that has ended and is not waited for yet is none."""
    import psutil  # at the end of a session only

    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) not in leaders or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if folder is None or process.cwd() == str(folder.resolve()):
                found.add(process.pid)
    return found


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _signal(processes: set[int], number: signal.Signals) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _wait(left: Callable[[], set[int]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while left() and time.monotonic() < deadline:
        time.sleep(0.1)
