"""Airflow's processes on this machine: started, watched and stopped together."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from deploy import private
from deploy.local import migration, processes
from deploy.local.api import Api, ApiError
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
    # No task of ours waits in it. Without it Airflow's home shows a service in red.
    "triggerer": ("airflow", "triggerer", "--skip-serve-logs"),
}
FIRST = ("api-server", "dag-processor")
"""A task that starts before the API server listens fails. So the scheduler is started when it does."""

START_SECONDS = 180
STOP_SECONDS = 15

LEADERS = "services.json"
"""The file in Airflow's folder that says by which processes each service was started."""

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
            _wait_until(api.healthy, home)
        yield api


@contextlib.contextmanager
def to_start(
    home: Path, port: int | None = None, variables: Variables = environment, *, triggerer: bool = False
) -> Iterator[Services]:
    """The services of `home`, none of them started yet. With this context they end. Arguments as for `airflow`.

    triggerer: whether it is one of them. Raises AlreadyRunning and PortTaken.
    """
    private.make_folder(home)
    _make_passwords(home)
    port = port or free_port()
    with claimed(home, port) as other:
        if other:
            raise AlreadyRunning(other, home)
        _end_left_over(home)
        require_free(port, home)
        names = [name for name in SERVICES if triggerer or name != "triggerer"]
        services = Services(home, port, variables(home, port), names)
        try:
            yield services
        finally:
            services.stop()


def running_api(home: Path, port: int) -> Api:
    return Api(f"http://127.0.0.1:{port}", partial(_password, home))


def log_file(home: Path, service: str) -> Path:
    return home / "logs" / f"{service}.log"


class Services:
    """Airflow's processes in one folder. All methods are called by one thread: see processes.end_with_parent."""

    def __init__(self, home: Path, port: int, env: dict[str, str], names: list[str]) -> None:
        """home: Airflow's folder. port: of the API server. env: the variables of every process. names: of SERVICES."""
        self.api = running_api(home, port)
        self._home, self._env, self._names = home, env, names
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._leaders: dict[str, list[int]] = {name: [] for name in names}

    def start(self) -> None:
        """Start all of them and wait until Airflow is healthy. Raises ServiceFailed.

        Tasks that were cut off when Airflow ended are scheduled again, and have as many tries as before.
        """
        (self._home / "logs").mkdir(exist_ok=True)
        if not migration.is_current(self._home, self._env):
            self._run("db-migrate", migration.COMMAND, "Airflow's database could not be created")
            migration.remember(self._home)
        for name in FIRST:
            self._start(name)
        _wait_until(self.api.listening, self._home, self._processes)
        self._schedule_cut_off_tasks()
        for name in self._names:
            if name not in FIRST:
                self._start(name)
        _wait_until(self.api.healthy, self._home, self._processes)

    def watch(self, say: Callable[[str], None]) -> None:
        """Start every process again that ends, and say so in one line. Returns never.

        Raises ServiceFailed when one ends too often: see `watch.Restarts`.
        """
        restarts = {name: Restarts() for name in self._names}
        due: dict[str, float] = {}
        while True:
            time.sleep(0.5)
            for name, process in list(self._processes.items()):
                now = time.monotonic()
                if process.poll() is None:
                    continue
                if name not in due:
                    line = f"airflow {name} {processes.how_it_ended(process)}; see {log_file(self._home, name)}"
                    pause = restarts[name].after_an_end(now)
                    if pause is None:
                        raise ServiceFailed(f"{line}. It has ended {restarts[name].count} times in a short while")
                    say(f"{line}. It is started again in {pause:.0f} s")
                    due[name] = now + pause
                elif now >= due[name]:
                    del due[name]
                    if name == "scheduler":
                        # Its tasks would go on, and the new scheduler would not know of them.
                        processes.end_scheduler(self._leaders[name], STOP_SECONDS)
                        with contextlib.suppress(OSError, ApiError, ServiceFailed):  # then as Airflow does it
                            self._schedule_cut_off_tasks()
                    self._start(name)

    def stop(self) -> None:
        """End the services and their tasks, the API server last: SIGTERM, and SIGKILL after STOP_SECONDS.

        A second Ctrl-C changes nothing: whatever is not ended here would go on by itself.
        """
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            _end(self._leaders, STOP_SECONDS)
            for process in self._processes.values():
                process.wait()
            (self._home / LEADERS).unlink(missing_ok=True)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _schedule_cut_off_tasks(self) -> None:
        if self.api.cut_off_tasks():
            # The Python that runs this Airflow, which may be the user's own.
            python = str(Path(shutil.which("airflow", path=self._env["PATH"]) or "airflow").with_name("python"))
            program = [python, "-P", str(Path(__file__).with_name("cut_off_tasks.py"))]
            self._run("cut-off-tasks", program, "tasks that were cut off could not be scheduled again")

    def _run(self, name: str, command: list[str], failure: str) -> None:
        """Run a program of Airflow's to its end. Raises ServiceFailed with the failure's text and the log's name."""
        with log_file(self._home, name).open("ab") as log:
            if subprocess.run(command, env=self._env, stdout=log, stderr=log).returncode:  # noqa: S603
                raise ServiceFailed(f"{failure}; see {log_file(self._home, name)}")

    def _start(self, name: str) -> None:
        with log_file(self._home, name).open("ab") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603
                SERVICES[name],
                env=self._env,
                cwd=self._home,  # by which claim.require_free knows it again
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C does not reach it, and stop finds everything below it
                preexec_fn=processes.end_with_parent,
            )
        # The earlier ones stay: what a service that was killed has left behind is in that one's session.
        self._leaders[name].append(self._processes[name].pid)
        (self._home / LEADERS).write_text(json.dumps(self._leaders), encoding="utf-8")


def _end(leaders: Mapping[str, list[int]], seconds: float, folder: Path | None = None) -> None:
    """End services. leaders: the processes by which each was started. folder: as for processes.end."""
    schedulers = leaders.get("scheduler", [])
    processes.end_scheduler(schedulers, seconds, folder)
    others = [pid for name, pids in leaders.items() if name not in ("scheduler", "api-server") for pid in pids]
    processes.end(others, seconds, folder)
    processes.end(leaders.get("api-server", []), seconds, folder)


def _end_left_over(home: Path) -> None:
    """End what an Airflow of this folder has left, whose `make up` was killed: tasks that nobody would wait for."""
    with contextlib.suppress(OSError, ValueError):
        _end(json.loads((home / LEADERS).read_text(encoding="utf-8")), STOP_SECONDS, home)


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


def _wait_until(
    ready: Callable[[], bool], home: Path, services: Mapping[str, subprocess.Popen[bytes]] | None = None
) -> None:
    """Wait until Airflow is ready. services: those that must not end meanwhile. Raises ServiceFailed."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        for name, process in (services or {}).items():
            if process.poll() is not None:
                raise ServiceFailed(f"airflow {name} {processes.how_it_ended(process)}; see {log_file(home, name)}")
        if time.monotonic() > deadline:
            raise ServiceFailed(f"Airflow did not start within {START_SECONDS} s; see {home / 'logs'}")
        time.sleep(0.5)
