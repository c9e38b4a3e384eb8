"""A job for the tests: jobs/resize.py with a decoder that some images kill."""

from __future__ import annotations

from functools import partial

from pyspark import SparkContext

from imagefeatures import manifest, steps
from imagefeatures.plan import Run
from imagefeatures_spark.distribute import main, spread
from support import poison


def work(context: SparkContext, run: Run) -> None:
    spread(context, run, steps.RESIZE, manifest.read_listing(run).shards, partial(poison.resize_shard, run))


if __name__ == "__main__":
    main(steps.RESIZE, work)
