"""One of the four Spark jobs, with the peak memory of each of its processes recorded.

`benchmarks.driver_memory` submits it. MEASURED_STEP names the step, MEASURED_PEAKS the folder for the peaks. With
MEASURED_SIMULATED the workers only simulate the work on a shard; the driver does its usual work.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pyspark import SparkContext

from benchmarks.driver_memory import simulate_shard
from benchmarks.memory import children, record_peak
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt
from imagefeatures_spark import distribute

STEP = os.environ["MEASURED_STEP"]
PEAKS = Path(os.environ["MEASURED_PEAKS"])


def measured_spread(
    context: SparkContext, run: Run, step: str, count: int, run_shard: Callable[[int], Receipt], *lanes: Sequence[int]
) -> None:
    """distribute.spread with workers that record their own peak, and their decode child's, after each shard."""
    process_shard = partial(simulate_shard, run, step) if os.environ.get("MEASURED_SIMULATED") else run_shard

    def measured_shard(shard: int) -> Receipt:
        receipt = process_shard(shard)
        record_peak(PEAKS, "worker", os.getpid())
        for child in children(os.getpid()):
            record_peak(PEAKS, "decoder", child)
        return receipt

    real_spread(context, run, step, count, measured_shard, *lanes)


def work(context: SparkContext, run: Run) -> None:
    job.work(context, run)
    record_peak(PEAKS, "driver", os.getpid())
    record_peak(PEAKS, "jvm", os.getppid())


if __name__ == "__main__":
    job: Any = importlib.import_module(f"imagefeatures_spark.{STEP}")
    real_spread, job.spread = distribute.spread, measured_spread
    sys.argv[0] = str(Path(job.__file__))
    distribute.main(STEP, work)
