"""A job of jobs/ whose shard SLOW_SHARD is done by two attempts at once: submitted like any other job.

The first attempt waits until Spark has started a second one, then both work, and neither returns
before the other is through. SLOW_STEP names the job, SLOW_FOLDER a folder for the marks they leave.
"""

from __future__ import annotations

import os
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark import SparkContext, TaskContext

from imagefeatures import shards
from imagefeatures.plan import Run
from imagefeatures_spark import distribute

JOB = Path(distribute.__file__).with_name(f"{os.environ['SLOW_STEP']}.py")
SLOW = int(os.environ["SLOW_SHARD"])
FOLDER = Path(os.environ["SLOW_FOLDER"])
PATIENCE_SECONDS = 60
plain_spread = distribute.spread

RunShard = Callable[[int], shards.Receipt]


def slowly(context: SparkContext, run: Run, step: str, count: int, run_shard: RunShard, *lanes: Any) -> None:
    slow, folder, patience = SLOW, FOLDER, PATIENCE_SECONDS  # the workers have no such variables

    def both(what: str) -> None:
        """Leave a mark, and wait for the other attempt's."""
        attempt = TaskContext.get().attemptNumber()
        (folder / f"{what}-{attempt}").touch()
        deadline = time.monotonic() + patience
        while not (folder / f"{what}-{1 - attempt}").exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no other attempt has {what}")
            time.sleep(0.01)

    def attempt(shard: int) -> shards.Receipt:
        if shard != slow:
            return run_shard(shard)
        both("begun")
        receipt = run_shard(shard)
        both("finished")
        return receipt

    plain_spread(context, run, step, count, attempt, *lanes)


if __name__ == "__main__":
    distribute.spread = slowly
    runpy.run_path(str(JOB), run_name="__main__")
