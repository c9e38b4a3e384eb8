"""One of the four jobs, and how much memory each of its processes has needed; submitted by `benchmarks.many`.

WATCHED_STEP says which job, WATCHED_PEAKS names the folder for the figures: one file for each process. With
WATCHED_EMPTY a shard's work is next to nothing, and the driver's is what it always is.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pyspark import SparkContext

from benchmarks.many import next_to_nothing
from benchmarks.peaks import children, note
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt
from imagefeatures_spark import distribute

STEP = os.environ["WATCHED_STEP"]
PEAKS = Path(os.environ["WATCHED_PEAKS"])


def watched(context: SparkContext, run: Run, step: str, count: int, run_shard: Callable[[int], Receipt]) -> None:
    """distribute.spread, with a worker that notes its own peak, and its decode child's, after each shard."""
    does = partial(next_to_nothing, run, step) if os.environ.get("WATCHED_EMPTY") else run_shard

    def noted(shard: int) -> Receipt:
        receipt = does(shard)
        note(PEAKS, "worker", os.getpid())
        for child in children(os.getpid()):
            note(PEAKS, "decoder", child)
        return receipt

    real_spread(context, run, step, count, noted)


def work(context: SparkContext, run: Run) -> None:
    job.work(context, run)
    note(PEAKS, "driver", os.getpid())
    note(PEAKS, "jvm", os.getppid())


if __name__ == "__main__":
    job = importlib.import_module(f"imagefeatures_spark.{STEP}")
    real_spread, job.spread = distribute.spread, watched
    sys.argv[0] = str(Path(job.__file__))
    distribute.main(STEP, work)
