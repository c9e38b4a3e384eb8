"""Where runs stand, as their staging folders tell it; and the same as lines that a person can follow.

It only reads. Nothing in the runs knows of it, and it may start late, stop early or miss a step.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from imagefeatures import shards, storage
from imagefeatures.errors import StoreError
from imagefeatures.layout import Layout
from imagefeatures.steps import REGISTER, SPARK_STEPS, STEPS

SECONDS_BETWEEN_LINES = 2.0
BAR = 20
SHORTEST_BAR = 6
"""Characters of the bar: as wide as the terminal lets it be between the two."""


@dataclass(frozen=True)
class StepStatus:
    """One step of one run.

    done: images that the finished shards took in. total: images that the step has to do; None while
    the source is not listed yet. passed: images handed on. images_per_second: over the time in
    which at least one worker was busy.
    """

    step: str
    done: int = 0
    total: int | None = None
    passed: int = 0
    images_per_second: float = 0.0
    finished: bool = False

    @classmethod
    def of(cls, step: str, receipts: Sequence[shards.Receipt], total: int | None, count: int) -> StepStatus:
        """The step as its receipts tell it. count: how many shards the run has."""
        sums = shards.totals(receipts)
        return cls(step, sums.images, total, sums.passed, sums.images_per_second, len(receipts) >= count)

    @property
    def seconds_left(self) -> float | None:
        """What the step still takes if it goes on like this; None while there is nothing to judge by."""
        if self.total is None or not self.images_per_second:
            return None
        return (self.total - self.done) / self.images_per_second


@dataclass(frozen=True)
class Status:
    """The steps that one run has come to, in order; it stands at the last one. There is always one."""

    run_id: str
    steps: tuple[StepStatus, ...]

    @property
    def registering(self) -> bool:
        """All shards of all steps are done; what is left is to publish them."""
        return len(self.steps) == len(SPARK_STEPS) and self.steps[-1].finished

    def behind(self, other: Status) -> bool:
        """Whether less is done here than in another status of the same run."""
        return [step.done for step in self.steps] < [step.done for step in other.steps]


def read_status(layout: Layout) -> Status | None:
    """Where the run stands. None when it has no staging folder: not planned yet, or registered already."""
    try:
        storage.read(layout.run_file)
        return Status(layout.run_id, tuple(_steps(layout)))
    except (storage.ObjectMissing, FileNotFoundError):  # register removes the folder while we look
        return None


def _steps(layout: Layout) -> list[StepStatus]:
    try:
        listing = json.loads(storage.read(layout.listing_summary))
    except storage.ObjectMissing:
        return [StepStatus(SPARK_STEPS[0])]
    steps: list[StepStatus] = []
    total = listing["objects"]
    for step in SPARK_STEPS:
        steps.append(StepStatus.of(step, shards.read_receipts(layout, step), total, listing["shards"]))
        if not steps[-1].finished:
            break
        total = steps[-1].passed
    return steps


class Progress:
    """Prints how the runs of some partitions get on.

    Call `tick` about once a second to have it look for itself, or `update` when the run tells where it stands.
    On a terminal one line a day is kept up to date in place, so print nothing else there meanwhile.
    Elsewhere lines are appended: one for each step that ends, and one every two seconds for a day
    that moves. Make it before the runs start: staging folders that are there already, of runs that
    failed before, are passed over.
    """

    def __init__(self, lake: str, dataset: str, partitions: Sequence[str], out: TextIO | None = None) -> None:
        """lake: its URI, as in Settings. out: standard output by default."""
        self._out = out or sys.stdout
        self._days = [_Day(lake, dataset, partition) for partition in partitions]
        self._started = time.monotonic()
        self._drawn = 0

    def tick(self) -> None:
        """Look at the staging folders, and print what changed."""
        for day in self._days:
            day.look()
        self._print()

    def update(self, status: Status) -> None:
        """Take where the run of the first partition stands from the run itself, and print what changed."""
        self._days[0].status = status
        self._print()

    def _print(self) -> None:
        seconds = time.monotonic() - self._started
        if self._out.isatty():
            self._redraw(seconds)
            return
        for day in self._days:
            for line in day.news(seconds):
                print(f"{seconds:5.0f} s  {line}", file=self._out, flush=True)

    def _redraw(self, seconds: float) -> None:
        width = shutil.get_terminal_size().columns - 1  # a line that wraps could not be drawn over
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        head = f"{seconds:5.0f} s  "
        lines = [(head + day.line(width - len(head)))[:width] for day in self._days]
        self._out.write(up + "".join(f"{line}\x1b[K\n" for line in lines))
        self._out.flush()
        self._drawn = len(lines)


@dataclass
class _Day:
    """One partition: its newest run, and what was said of it."""

    lake: str
    dataset: str
    partition: str
    status: Status | None = None
    registered: bool = False
    _before: set[str] = field(default_factory=set)
    _said: set[tuple[str, str]] = field(default_factory=set)
    _last: tuple[float, str] = (float("-inf"), "")

    def __post_init__(self) -> None:
        self._before = self._runs()
        self._last = (float("-inf"), self.line())  # that it waits is no news

    def look(self) -> None:
        """Read where the newest run stands. A store that does not answer is no news: the runs say so themselves."""
        with contextlib.suppress(StoreError):
            self._look()

    def _look(self) -> None:
        runs = [run for run in self._runs() if run not in self._before]
        if not runs:
            self.registered = self.status is not None
            return
        found = read_status(Layout(self.lake, self.dataset, self.partition, max(runs)))
        if found is None:  # a folder that is being made, or being removed
            return
        if self.status and self.status.run_id == found.run_id and found.behind(self.status):
            return  # work is never undone: register is removing the folder, file by file
        self.status, self.registered = found, False

    def line(self, width: int = 200) -> str:
        """What the day is doing now. width: the characters that there is room for; the bar is shortened for it."""
        if self.registered:
            return f"{self.partition}  done: registered"
        if self.status is None:
            return f"{self.partition}  waiting"
        if self.status.registering:
            return f"{self.partition}  {_name(REGISTER)}"
        head = f"{self.partition}  "
        return head + _moving(self.status.steps[-1], width - len(head))

    def news(self, seconds: float) -> Iterator[str]:
        """Lines that were not said yet. seconds: since the start."""
        for step in self.status.steps if self.status else ():
            key = (self.status.run_id, step.step) if self.status else ("", "")
            if step.finished and key not in self._said:
                self._said.add(key)
                yield f"{self.partition}  {_ended(step)}"
        line, (when, last) = self.line(), self._last
        if line != last and (self.registered or seconds - when >= SECONDS_BETWEEN_LINES):
            self._last = (seconds, line)
            yield line

    def _runs(self) -> set[str]:
        folder = Layout(self.lake, self.dataset, self.partition, "").run
        try:
            return {found.uri.removeprefix(folder).partition("/")[0] for found in storage.list_objects(folder)}
        except FileNotFoundError:  # register removes a folder while we list it
            return set()


def _name(step: str) -> str:
    return f"{STEPS.index(step) + 1}/{len(STEPS)} {step:<9}"


def _moving(step: StepStatus, width: int) -> str:
    if step.total is None:
        return f"{_name(step.step)}  starting"
    rate = f"{step.images_per_second:,.0f} images/s" if step.done else "starting"
    left = "" if step.seconds_left is None else f"  {_duration(step.seconds_left)} left"
    words = f"  {step.done:,} of {step.total:,}  {rate}{left}"
    length = min(BAR, max(SHORTEST_BAR, width - len(_name(step.step)) - 2 - len(words)))
    filled = length * step.done // max(step.total, 1)
    return f"{_name(step.step)}  {'█' * filled}{'░' * (length - filled)}{words}"


def _duration(seconds: float) -> str:
    """
    >>> _duration(7.4), _duration(100), _duration(7_300)
    ('7 s', '2 min', '2 h 2 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _ended(step: StepStatus) -> str:
    rejected = f", {step.done - step.passed:,} rejected" if step.passed < step.done else ""
    return f"{_name(step.step)}  {step.done:,} images at {step.images_per_second:,.0f} images/s{rejected}"
