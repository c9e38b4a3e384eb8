"""Work for workers that notes what is done, and fails, dies or waits where a test says so."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imagefeatures.errors import StoreError
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt, StagedFile
from imagefeatures.step_runner import StepRunner
from support.shared import ColourEngine

PATIENCE_SECONDS = 60


class Forbidden:
    """An engine that must not be asked."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        raise AssertionError("a vector was computed")


class Unportable(Exception):
    """Cannot be made again from what pickle keeps of it."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


def fail() -> None:
    raise StoreError("s3://nowhere: no answer in 60 s")


def fail_unportably() -> None:
    raise Unportable("this", "that")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave() -> None:
    os._exit(0)


def hang() -> None:
    time.sleep(PATIENCE_SECONDS)


def heed_no_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def nothing() -> None:
    pass


ACTS: dict[str, Callable[[], None]] = {
    act.__name__: act for act in (fail, fail_unportably, die, crash, leave, hang, heed_no_sigterm, nothing)
}


@dataclass(frozen=True)
class Disturbed:
    """The steps' own work with a quick engine. folder: for the notes. acts: (step, shard) to what happens before it."""

    folder: Path
    acts: dict[tuple[str, int], str] = field(default_factory=dict)
    work: StepRunner = field(default_factory=lambda: StepRunner(ColourEngine()))

    def __call__(self, run: Run, step: str, shard: int) -> Receipt:
        ACTS[self.acts.get((step, shard), "nothing")]()
        receipt = self.work(run, step, shard)
        with (self.folder / "done").open("a") as notes:  # one short write: whole, whoever writes beside it
            notes.write(f"{step} {shard} {os.getpid()}\n")
        return receipt

    @property
    def done(self) -> Counter[tuple[str, int]]:
        """How often each shard of each step was done."""
        return Counter((step, int(shard)) for step, shard, _ in self._notes())

    @property
    def pids(self) -> set[int]:
        """The processes that did them."""
        return {int(pid) for _, _, pid in self._notes()}

    def _notes(self) -> list[list[str]]:
        path = self.folder / "done"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(frozen=True)
class Scripted:
    """No step's work at all: the name of the step is that of the act. The receipt tells what the process inherited."""

    folder: Path

    def __call__(self, run: Run, step: str, shard: int) -> Receipt:
        ACTS.get(step, nothing)()
        if step == "wait for five others" and shard == 0:
            self._wait(5)
        (self.folder / f"{step}-{shard}").touch()
        threads = os.environ.get("OMP_NUM_THREADS", "")
        seen = {"OMP_NUM_THREADS": int(threads or 0), "SIGINT": int(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)}
        return Receipt(step, shard, 0, StagedFile("", 0, 0, ""), None, seen, time.time(), 0)

    def _wait(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(list(self.folder.glob("wait*"))) < count:
            if time.monotonic() > deadline:
                raise TimeoutError("the other shards were not done meanwhile")
            time.sleep(0.01)
