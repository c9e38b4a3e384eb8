"""The progress of runs, read from their staging folders: as data, and as lines for a person to follow.

It only reads. No run depends on it, and it may start late, stop early or miss a step.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TextIO

from imagefeatures import shards, storage
from imagefeatures.errors import AuditFailed, StoreError
from imagefeatures.followed import FollowedRun
from imagefeatures.layout import Layout, model_facts
from imagefeatures.steps import FEATURIZE, REGISTER, SPARK_STEPS, STEPS

SECONDS_BETWEEN_LINES = 2.0
BAR = 20
SHORTEST_BAR = 6
"""Characters of the bar: as wide as the terminal lets it be between the two."""


@dataclass(frozen=True)
class StepStatus:
    """The progress of one step of one run.

    done: number of images in the finished shards. total: number of images that the step gets; None while
    the source is not listed yet. passed: number of images that the next step gets. images_per_second:
    over the time in which at least one worker was busy; 0 while only shards are done with which a worker began.
    no_model: whether the step cannot begin yet because the lake holds no model.
    """

    step: str
    done: int = 0
    total: int | None = None
    passed: int = 0
    images_per_second: float = 0.0
    finished: bool = False
    no_model: bool = False

    @classmethod
    def of(cls, step: str, receipts: Sequence[shards.Receipt], total: int | None, count: int) -> StepStatus:
        """The step as its receipts tell it. count: how many shards the run has."""
        sums, finished = shards.totals(receipts), len(receipts) >= count
        # A worker's first shard includes its start: a decode process, an engine. It says nothing of those to come.
        rate = sums.images_per_second if finished else shards.totals(_after_the_start(receipts)).images_per_second
        return cls(step, sums.images, total, sums.passed, rate, finished)

    @property
    def seconds_left(self) -> float | None:
        """What the step still takes at its rate so far; None as long as no rate is known."""
        if self.total is None or not self.images_per_second:
            return None
        return (self.total - self.done) / self.images_per_second


@dataclass(frozen=True)
class Status:
    """The steps that a run has reached, in order, at least one. The last one is under way, or all are finished."""

    run_id: str
    steps: tuple[StepStatus, ...]

    @property
    def registering(self) -> bool:
        """Whether all shards of all Spark steps are done, so that only register is left."""
        return len(self.steps) == len(SPARK_STEPS) and self.steps[-1].finished

    def behind(self, other: Status) -> bool:
        """Whether this status shows less work done than another status of the same run."""
        return [step.done for step in self.steps] < [step.done for step in other.steps]


def read_status(layout: Layout, followed: FollowedRun | None = None) -> Status | None:
    """A run's status. None when it has no staging folder: it is not planned yet, or registered already.

    followed: the same run, where somebody looks at it again and again.
    """
    try:
        planned = json.loads(storage.read(layout.run_file))
        of_models = [planned["fingerprint"], *(output["fingerprint"] for output in planned.get("others", ()))]
        return Status(layout.run_id, tuple(_steps(followed or FollowedRun(layout), of_models)))
    except (storage.ObjectMissing, FileNotFoundError):  # register removes the folder meanwhile
        return None


def _steps(run: FollowedRun, fingerprints: Sequence[str]) -> list[StepStatus]:
    try:
        listing = run.listing()
    except storage.ObjectMissing:
        return [StepStatus(SPARK_STEPS[0])]
    steps: list[StepStatus] = []
    total: int = listing.objects
    for step in SPARK_STEPS:
        steps.append(StepStatus.of(step, run.receipts(step), total, listing.shards))
        if not steps[-1].finished:
            break
        total = steps[-1].passed
    if (
        steps[-1].step == FEATURIZE
        and not steps[-1].done
        and not all(_is_prepared(run.layout, fingerprint) for fingerprint in fingerprints)
    ):
        steps[-1] = replace(steps[-1], no_model=True)
    return steps


def _is_prepared(layout: Layout, fingerprint: str) -> bool:
    try:
        storage.read_part(model_facts(layout.lake, fingerprint), 0, 1)
    except storage.ObjectMissing:
        return False
    return True


def _after_the_start(receipts: Sequence[shards.Receipt]) -> list[shards.Receipt]:
    """The shards that were begun when another one was done: those of a worker that has started."""
    first = min((receipt.started_at + receipt.seconds for receipt in receipts), default=0.0)
    return [receipt for receipt in receipts if receipt.started_at >= first]


class Progress:
    """Prints the progress of the runs of some partitions.

    Call `tick` about once a second: it reads the staging folders. Or call `update` with the status of a run.
    On a terminal it updates one line for each partition in place, so print nothing else there meanwhile.
    Elsewhere it appends lines: one for each step that ends, and at most one every two seconds for a
    partition that makes progress. Create it before the runs start: it ignores staging folders that exist
    by then, since they are of runs that failed before.
    """

    def __init__(self, lake: str, dataset: str, partitions: Sequence[str], out: TextIO | None = None) -> None:
        """lake: its URI, as in Settings. out: standard output by default."""
        self._out = out or sys.stdout
        self._partitions = [_Partition(lake, dataset, partition) for partition in partitions]
        self._started = time.monotonic()
        self._drawn = 0

    def tick(self) -> None:
        """Read the staging folders, and print what has changed."""
        for partition in self._partitions:
            partition.refresh()
        self._print()

    def update(self, status: Status) -> None:
        """Take the status of the first partition's run as it is given, and print what has changed."""
        self._partitions[0].status = status
        self._print()

    def say(self, line: str) -> None:
        """Print a line of the caller's own above the progress, which only this object may do on a terminal."""
        cursor_up = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        print(f"{cursor_up}{time.monotonic() - self._started:5.0f} s  {line}", file=self._out, flush=True)
        self._drawn = 0

    def _print(self) -> None:
        seconds = time.monotonic() - self._started
        if self._out.isatty():
            self._redraw(seconds)
            return
        for partition in self._partitions:
            for line in partition.new_lines(seconds):
                print(f"{seconds:5.0f} s  {line}", file=self._out, flush=True)

    def _redraw(self, seconds: float) -> None:
        width = shutil.get_terminal_size().columns - 1  # a line that wraps could not be drawn over
        cursor_up = f"\x1b[{self._drawn}F" if self._drawn else ""
        head = f"{seconds:5.0f} s  "
        lines = [(head + partition.line(width - len(head)))[:width] for partition in self._partitions]
        self._out.write(cursor_up + "".join(f"{line}\x1b[K\n" for line in lines))
        self._out.flush()
        self._drawn = len(lines)


@dataclass
class _Partition:
    """One partition: the status of its newest run, and what has been printed about it."""

    lake: str
    dataset: str
    key: str
    status: Status | None = None
    registered: bool = False
    _before: set[str] = field(default_factory=set)
    _printed_steps: set[tuple[str, str]] = field(default_factory=set)
    _last_line: tuple[float, str] = field(init=False)

    def __post_init__(self) -> None:
        self._before = self._runs()
        self._last_line = (float("-inf"), self.line())  # that it waits is not worth a line

    def refresh(self) -> None:
        """Read the newest run's status. A store that fails, or a file that has changed, is the run's own to report."""
        with contextlib.suppress(StoreError, AuditFailed):
            self._refresh()

    def _refresh(self) -> None:
        runs = [run for run in self._runs() if run not in self._before]
        if not runs:
            self.registered = self.status is not None
            return
        status = read_status(Layout(self.lake, self.dataset, self.key, max(runs)))
        if status is None:  # the folder is being made, or being removed
            return
        if self.status and self.status.run_id == status.run_id and status.behind(self.status):
            return  # work is never undone: register is removing the folder, file by file
        self.status, self.registered = status, False

    def line(self, width: int = 200) -> str:
        """The current state of the partition. The bar is shortened to fit into `width` characters."""
        if self.registered:
            return f"{self.key}  done: registered"
        if self.status is None:
            return f"{self.key}  waiting for its run to begin"
        if self.status.registering:
            return f"{self.key}  {_label(REGISTER)}"
        head = f"{self.key}  "
        return head + _running_step(self.status.steps[-1], width - len(head))

    def new_lines(self, seconds: float) -> Iterator[str]:
        """Lines that have not been printed yet. seconds: since the start."""
        if self.status:
            for step in self.status.steps:
                printed = (self.status.run_id, step.step)
                if step.finished and printed not in self._printed_steps:
                    self._printed_steps.add(printed)
                    yield f"{self.key}  {_finished_step(step)}"
        line, (when, last) = self.line(), self._last_line
        if line != last and (self.registered or seconds - when >= SECONDS_BETWEEN_LINES):
            self._last_line = (seconds, line)
            yield line

    def _runs(self) -> set[str]:
        folder = Layout(self.lake, self.dataset, self.key, "").run
        try:
            return {stored.uri.removeprefix(folder).partition("/")[0] for stored in storage.list_objects(folder)}
        except FileNotFoundError:  # register removes a folder meanwhile
            return set()


def _label(step: str) -> str:
    return f"{STEPS.index(step) + 1}/{len(STEPS)} {step:<9}"


def _running_step(step: StepStatus, width: int) -> str:
    if step.total is None:
        return f"{_label(step.step)}  starting"
    if step.no_model:
        return f"{_label(step.step)}  waits for the model: once for a lake it is downloaded, converted and checked"
    rate = f"{step.images_per_second:,.0f} images/s" if step.images_per_second else "" if step.done else "starting"
    left = "" if step.seconds_left is None else f"  {duration(step.seconds_left)} left"
    words = f"  {step.done:,} of {step.total:,}  {rate}{left}".rstrip()
    length = min(BAR, max(SHORTEST_BAR, width - len(_label(step.step)) - 2 - len(words)))
    filled = length * step.done // max(step.total, 1)
    return f"{_label(step.step)}  {'█' * filled}{'░' * (length - filled)}{words}"


def duration(seconds: float) -> str:
    """How long something takes, as a person says it.

    >>> duration(7.4), duration(100), duration(7_300)
    ('7 s', '2 min', '2 h 2 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _finished_step(step: StepStatus) -> str:
    rejected = f", {step.done - step.passed:,} rejected" if step.passed < step.done else ""
    return f"{_label(step.step)}  {step.done:,} images at {step.images_per_second:,.0f} images/s{rejected}"
