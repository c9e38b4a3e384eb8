"""Airflow's processes on this machine, started and stopped together."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from deploy.local.api import Api
from deploy.local.environment import environment
from imagefeatures.errors import ImageFeaturesError

PASSWORDS = "simple_auth_manager_passwords.json.generated"
SERVICES = ("api-server", "scheduler", "dag-processor")
START_SECONDS = 180
STOP_SECONDS = 15


class ServiceFailed(ImageFeaturesError):
    """One of Airflow's processes did not start, or ended early; the text names its log."""


@contextlib.contextmanager
def airflow(
    home: Path, port: int | None = None, variables: Callable[[Path, int], dict[str, str]] = environment
) -> Iterator[Api]:
    """A running Airflow: the one that already runs in `home`, or else a new one that ends with this context.

    home: Airflow's folder. port: of the UI and API; None takes any free port. variables: makes the processes'
    environment of home and port; the `airflow` that runs is the one on its PATH. Raises ServiceFailed.
    """
    if running := _running(home):
        yield running
        return
    port = port or _free_port()
    env = variables(home, port)
    (home / "logs").mkdir(parents=True, exist_ok=True)
    _migrate(home, env)
    api = Api(f"http://127.0.0.1:{port}", partial(_password, home))
    processes = {name: _start(name, home, env) for name in SERVICES}
    marker = home / "running.json"
    try:
        _wait_until_healthy(api, home, processes)
        marker.write_text(json.dumps({"port": port, "pid": os.getpid()}))
        yield api
    finally:
        marker.unlink(missing_ok=True)
        _stop(processes.values())


def log_file(home: Path, service: str) -> Path:
    return home / "logs" / f"{service}.log"


def _running(home: Path) -> Api | None:
    try:
        state = json.loads((home / "running.json").read_text())
        os.kill(state["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    api = Api(f"http://127.0.0.1:{state['port']}", partial(_password, home))
    return api if api.healthy() else None


def _password(home: Path) -> str:
    """The admin's password, which the API server has generated and written to this file."""
    return str(json.loads((home / PASSWORDS).read_text())["admin"])


def _migrate(home: Path, env: dict[str, str]) -> None:
    with log_file(home, "db-migrate").open("wb") as log:
        migrate = subprocess.run(["airflow", "db", "migrate"], env=env, stdout=log, stderr=log)  # noqa: S607
    if migrate.returncode:
        raise ServiceFailed(f"Airflow's database could not be created; see {log_file(home, 'db-migrate')}")


def _start(name: str, home: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    with log_file(home, name).open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            ["airflow", name],  # noqa: S607
            env=env,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a group of its own: Ctrl-C does not reach it, _stop reaches its children
            preexec_fn=_end_with_parent,
        )


def _end_with_parent() -> None:
    """On Linux: let the kernel send SIGTERM to this process as soon as its parent dies."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _wait_until_healthy(api: Api, home: Path, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not api.healthy():
        for name, process in processes.items():
            if process.poll() is not None:
                raise ServiceFailed(
                    f"airflow {name} ended with status {process.returncode}; see {log_file(home, name)}"
                )
        if time.monotonic() > deadline:
            raise ServiceFailed(f"Airflow did not start within {START_SECONDS} s; see {home / 'logs'}")
        time.sleep(0.5)


def _stop(processes: Collection[subprocess.Popen[bytes]]) -> None:
    """End the services and their children: SIGTERM to all of them, and SIGKILL after STOP_SECONDS."""
    for process in processes:
        _signal_group(process, signal.SIGTERM)
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        _signal_group(process, signal.SIGKILL)  # also to children that outlived it
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
