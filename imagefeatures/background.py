"""Commands of this program that run for people who look at a page: one at a time, bounded, with the lowest priority."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import IO

AGAIN_SECONDS = 300.0
"""After a failure a command is not tried again for so long, however often somebody looks."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """Of one command. seconds: after which it is ended. memory: its most address space, in bytes."""

    seconds: float
    memory: int


@dataclass
class UnderWay:
    """A command that runs. key: what it makes."""

    key: Hashable
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


@dataclass(frozen=True)
class Waits:
    """What has not begun, or has failed. why: in words."""

    why: str


class Background:
    """Runs commands for any number of threads. what: they make, for messages: `map`."""

    def __init__(self, what: str, bounds: Bounds) -> None:
        self._what, self._bounds = what, bounds
        self._lock = threading.Lock()
        self._under_way: UnderWay | None = None
        self._failed: dict[Hashable, float] = {}

    def run(self, key: Hashable, arguments: Sequence[str]) -> UnderWay | Waits:
        """Begin a command unless it, or another one, is under way or has just failed. Does not wait.

        arguments: of the program `imagefeatures`. It ends well only if it has kept what it makes.
        """
        with self._lock:
            if (now := self._under_way) is not None:
                return now if now.key == key else Waits(f"Another {self._what} is under way; this one begins after it.")
            if time.monotonic() - self._failed.get(key, -AGAIN_SECONDS) < AGAIN_SECONDS:
                minutes = AGAIN_SECONDS / 60
                return Waits(
                    f"The {self._what} has failed; the log of Airflow's API server says why. It can be tried again "
                    f"{minutes:.0f} minutes after that."
                )
            try:
                said = tempfile.TemporaryFile()  # noqa: SIM115 - `_finish` closes it
                self._under_way = UnderWay(key, self._begin(arguments, said))
            except OSError as error:
                log.warning("a %s cannot be begun: %s", self._what, error)
                return Waits(f"The {self._what} cannot be begun; the log of Airflow's API server says why.")
            threading.Thread(
                target=self._finish, args=(self._under_way, said), name=f"image features {self._what}", daemon=True
            ).start()
            return self._under_way

    def _begin(self, arguments: Sequence[str], said: IO[bytes]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, code of our own, names of runs
            [sys.executable, "-m", "imagefeatures.cli", *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            seconds = math.ceil(self._bounds.seconds)
            for limit, most in ((resource.RLIMIT_AS, self._bounds.memory), (resource.RLIMIT_CPU, seconds)):
                resource.prlimit(process.pid, limit, (most, most))
            os.setpriority(os.PRIO_PROCESS, process.pid, 19)
        return process

    def _finish(self, under_way: UnderWay, said: IO[bytes]) -> None:
        """Wait for the process, and remember whether it has failed."""
        try:
            try:
                status = under_way.process.wait(self._bounds.seconds)
            except subprocess.TimeoutExpired:
                under_way.process.kill()
                status = under_way.process.wait()
            if status:
                said.seek(0)
                last = said.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
                log.warning(
                    "the %s of %s is not made: exit status %s, %s",
                    self._what, under_way.key, status, last or "and nothing was said",
                )  # fmt: skip
                self._failed[under_way.key] = time.monotonic()
        finally:
            said.close()
            with self._lock:
                self._under_way = None
