"""Decode the images and make the model's input of them: spark-submit jobs/resize.py --run URI"""

from __future__ import annotations

from functools import partial

from pyspark import SparkContext

from imagefeatures import ingest, resize
from imagefeatures.plan import Run
from spread import main, spread


def work(context: SparkContext, run: Run) -> None:
    spread(context, run, resize.STEP, ingest.read_listing(run).shards, partial(resize.run_shard, run))


if __name__ == "__main__":
    main(resize.STEP, work)
