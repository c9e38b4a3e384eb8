"""Where a run stands, as its staging folder tells it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from imagefeatures import shards, storage
from imagefeatures.layout import Layout
from imagefeatures.steps import SPARK_STEPS


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
        receipts = shards.read_receipts(layout, step)
        sums = shards.totals(receipts)
        finished = len(receipts) >= listing["shards"]
        steps.append(StepStatus(step, sums.images, total, sums.passed, sums.images_per_second, finished))
        if not finished:
            break
        total = sums.passed
    return steps
