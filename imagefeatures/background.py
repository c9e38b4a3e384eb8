"""Commands of this program that run for people who look at a page: one at a time, bounded, with the lowest priority."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

AGAIN_SECONDS = 300.0
"""After a failure a command is not tried again for so long, however often somebody looks."""

BOUNDED = (
    "import runpy, signal, sys; signal.alarm(int(sys.argv.pop(1))); "
    "runpy.run_module('imagefeatures.cli', run_name='__main__', alter_sys=True)"
)
"""What an interpreter runs that ends after so many seconds, also where its server, which would end it, has gone."""

log = logging.getLogger(__name__)

Command = AbstractContextManager[Sequence[str]]
"""The arguments of the program `imagefeatures`, while it runs. What is left of the block keeps what it has made: it
runs only after the command has ended well, and what it raises is a failure of the command."""


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
    """What has not begun, or has failed. why: in words. again: whether it may begin soon without anybody's doing."""

    why: str
    again: bool = True


class Background:
    """Runs commands for any number of threads and processes of a server: one at a time in all of them.

    what: they make, for messages: `map`. cache: the folder with the lock. A command holds it as long as it lives, so
    one that outlives its server is waited for too; it ends by itself a second after it would have been ended.
    """

    def __init__(self, what: str, bounds: Bounds, cache: Path) -> None:
        self._what, self._bounds = what, bounds
        self._lock_file = cache / f"background-{what}.lock"
        self._lock = threading.Lock()
        self._under_way: UnderWay | None = None
        self._failed: dict[Hashable, float] = {}

    def run(self, key: Hashable, command: Command) -> UnderWay | Waits:
        """Begin a command unless it, or another one, is under way or has just failed. Does not wait."""
        with self._lock:
            if (now := self._under_way) is not None:
                return now if now.key == key else Waits(f"Another {self._what} is under way; this one begins after it.")
            if time.monotonic() - self._failed.get(key, -AGAIN_SECONDS) < AGAIN_SECONDS:
                minutes = AGAIN_SECONDS / 60
                return Waits(
                    f"The {self._what} has failed; the log of Airflow's API server says why. It can be tried again "
                    f"{minutes:.0f} minutes after that.",
                    again=False,
                )
            try:
                return self._begin(key, command)
            except BlockingIOError:
                return Waits(
                    f"Another {self._what} is under way in another process of the server; this one begins after it."
                )
            except OSError as error:
                log.warning("a %s cannot be begun: %s", self._what, error)
                self._failed[key] = time.monotonic()
                return Waits(
                    f"The {self._what} cannot be begun; the log of Airflow's API server says why. Mostly "
                    "IMAGEFEATURES_CACHE names no folder that can be written.",
                    again=False,
                )

    def _begin(self, key: Hashable, command: Command) -> UnderWay:
        """Raises BlockingIOError where another process runs one, and OSError."""
        with ExitStack() as held:
            lock = held.enter_context(self._locked())
            said = held.enter_context(tempfile.TemporaryFile())
            arguments = held.enter_context(command)
            under_way = UnderWay(key, self._started(arguments, said, lock))
            threading.Thread(
                target=self._finish,
                args=(under_way, said, held.pop_all()),
                name=f"image features {self._what}",
                daemon=True,
            ).start()
            self._under_way = under_way  # before `_finish` takes it away, which needs our lock
            return under_way

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """The descriptor of the lock file. A process that inherits it holds the lock too."""
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_file.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file.fileno()

    def _started(self, arguments: Sequence[str], said: IO[bytes], lock: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, code of our own, names of runs
            [sys.executable, "-c", BOUNDED, str(math.ceil(self._bounds.seconds) + 1), *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            pass_fds=[lock],
        )
        try:
            _bound(process.pid, self._bounds)
        except ProcessLookupError:  # it has ended already
            pass
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process

    def _finish(self, under_way: UnderWay, said: IO[bytes], held: ExitStack) -> None:
        """Wait for the process, and keep what it has made, or remember that it has failed."""
        try:
            with held:
                try:
                    status = under_way.process.wait(self._bounds.seconds)
                except subprocess.TimeoutExpired:
                    under_way.process.kill()
                    status = under_way.process.wait()
                if status:
                    said.seek(0)
                    last = said.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
                    raise RuntimeError(f"exit status {status}, {last or 'and nothing was said'}")
        except Exception as error:  # whatever it is, those who look must learn of it
            log.warning("the %s of %s is not made: %s", self._what, under_way.key, error)
            self._failed[under_way.key] = time.monotonic()
        finally:
            with self._lock:
                self._under_way = None


def _bound(pid: int, bounds: Bounds) -> None:
    """Limit a process, and give it the lowest priority. Nobody may raise a limit that the server itself has."""
    for limit, most in ((resource.RLIMIT_AS, bounds.memory), (resource.RLIMIT_CPU, math.ceil(bounds.seconds))):
        _, own = resource.prlimit(pid, limit)
        lower = most if own == resource.RLIM_INFINITY else min(most, own)
        resource.prlimit(pid, limit, (lower, lower))
    os.setpriority(os.PRIO_PROCESS, pid, 19)
