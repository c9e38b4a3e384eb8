"""Airflow's processes on this machine: started, watched and stopped together."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from deploy import private
from deploy.local.api import Api
from deploy.local.claim import Owner, claimed, free_port, require_free
from deploy.local.environment import environment
from deploy.local.watch import Restarts
from imagefeatures.errors import ImageFeaturesError

PASSWORDS = "simple_auth_manager_passwords.json.generated"
SERVICES = {
    "api-server": ("airflow", "api-server"),
    # Its log server would listen on every address. The API server reads the logs of this machine from their files.
    "scheduler": ("airflow", "scheduler", "--skip-serve-logs"),
    "dag-processor": ("airflow", "dag-processor"),
}
START_SECONDS = 180
STOP_SECONDS = 15

Variables = Callable[[Path, int], dict[str, str]]


class ServiceFailed(ImageFeaturesError):
    """One of Airflow's processes did not start, or ended too often; the text names its log."""


class AlreadyRunning(ImageFeaturesError):
    """Airflow runs in this folder already. owner: the process that has started it."""

    def __init__(self, owner: Owner, home: Path) -> None:
        super().__init__(f"Airflow runs in {home} already; process {owner.pid} has started it")
        self.owner = owner


@contextlib.contextmanager
def airflow(home: Path, port: int | None = None, variables: Variables = environment) -> Iterator[Api]:
    """A running Airflow: the one that already runs in `home`, or else a new one that ends with this context.

    home: Airflow's folder. port: of the UI and API; None takes any free port. variables: makes the processes'
    environment of home and port; the `airflow` that runs is the one on its PATH. Raises ServiceFailed and PortTaken.
    """
    with contextlib.ExitStack() as running:
        try:
            services = running.enter_context(to_start(home, port, variables))
            services.start()
            api = services.api
        except AlreadyRunning as other:
            api = running_api(home, other.owner.port)
            _wait_until_healthy(api, home)
        yield api


@contextlib.contextmanager
def to_start(home: Path, port: int | None = None, variables: Variables = environment) -> Iterator[Services]:
    """The services of `home`, none of them started yet. With this context they end. Arguments as for `airflow`.

    Raises AlreadyRunning and PortTaken.
    """
    private.make_folder(home)
    _make_passwords(home)
    port = port or free_port()
    with claimed(home, port) as other:
        if other:
            raise AlreadyRunning(other, home)
        require_free(port, home)
        services = Services(home, port, variables(home, port))
        try:
            yield services
        finally:
            services.stop()


def running_api(home: Path, port: int) -> Api:
    return Api(f"http://127.0.0.1:{port}", partial(_password, home))


def log_file(home: Path, service: str) -> Path:
    return home / "logs" / f"{service}.log"


class Services:
    """Airflow's processes in one folder. All methods are called by one thread: see _end_with_parent."""

    def __init__(self, home: Path, port: int, env: dict[str, str]) -> None:
        """home: Airflow's folder. port: of the API server. env: the variables of every process."""
        self.api = running_api(home, port)
        self._home, self._env = home, env
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ended: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start all of them and wait until Airflow is healthy. Raises ServiceFailed."""
        (self._home / "logs").mkdir(exist_ok=True)
        self._migrate()
        for name in SERVICES:
            self._start(name)
        _wait_until_healthy(self.api, self._home, self._processes)

    def watch(self, say: Callable[[str], None]) -> None:
        """Start every process again that ends, and say so in one line. Returns never.

        Raises ServiceFailed when one ends too often: see `watch.Restarts`.
        """
        restarts = {name: Restarts() for name in SERVICES}
        due: dict[str, float] = {}
        while True:
            time.sleep(0.5)
            for name, process in list(self._processes.items()):
                now = time.monotonic()
                if process.poll() is None:
                    continue
                if name not in due:
                    line = f"airflow {name} {_how_it_ended(process)}; see {log_file(self._home, name)}"
                    pause = restarts[name].after_an_end(now)
                    if pause is None:
                        raise ServiceFailed(f"{line}. It has ended {restarts[name].count} times in a short while")
                    say(f"{line}. It is started again in {pause:.0f} s")
                    due[name] = now + pause
                elif now >= due[name]:
                    del due[name]
                    if _signal_group(process, 0):
                        self._ended.append(process)
                    self._start(name)

    def stop(self) -> None:
        """End the services and their children: SIGTERM to all of them, and SIGKILL after STOP_SECONDS."""
        # What a service that was killed has left behind, such as running tasks, is still in that service's group.
        processes = [*self._ended, *self._processes.values()]
        for process in processes:
            _signal_group(process, signal.SIGTERM)
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            _signal_group(process, signal.SIGKILL)  # also to children that outlived it
            process.wait()

    def _migrate(self) -> None:
        with log_file(self._home, "db-migrate").open("wb") as log:
            migrate = subprocess.run(["airflow", "db", "migrate"], env=self._env, stdout=log, stderr=log)  # noqa: S607
        if migrate.returncode:
            raise ServiceFailed(f"Airflow's database could not be created; see {log_file(self._home, 'db-migrate')}")

    def _start(self, name: str) -> None:
        with log_file(self._home, name).open("ab") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603
                SERVICES[name],
                env=self._env,
                cwd=self._home,  # by which claim.require_free knows it again
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a group of its own: Ctrl-C does not reach it, stop reaches its children
                preexec_fn=_end_with_parent,
            )


def _password(home: Path) -> str:
    password: str = json.loads((home / PASSWORDS).read_text(encoding="utf-8"))["admin"]
    return password


def _make_passwords(home: Path) -> None:
    """Write the file from which Airflow's Simple auth manager reads the admin's password, unless it is there.

    Airflow would generate one too, into a file that other users may read, and print it to its log.
    """
    file = home / PASSWORDS
    try:
        private.create(file, json.dumps({"admin": secrets.token_urlsafe(12)}) + "\n")
    except FileExistsError:
        file.chmod(0o600)  # an earlier version let Airflow make it


def _end_with_parent() -> None:
    """On Linux: let the kernel send SIGTERM to this process as soon as the thread that started it ends."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _wait_until_healthy(api: Api, home: Path, processes: dict[str, subprocess.Popen[bytes]] | None = None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not api.healthy():
        for name, process in (processes or {}).items():
            if process.poll() is not None:
                raise ServiceFailed(f"airflow {name} {_how_it_ended(process)}; see {log_file(home, name)}")
        if time.monotonic() > deadline:
            raise ServiceFailed(f"Airflow did not start within {START_SECONDS} s; see {home / 'logs'}")
        time.sleep(0.5)


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    status = process.returncode
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to the process and its children. Returns whether any is there; 0 sends nothing."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True
