"""List the source and freeze the bytes of every object: spark-submit jobs/ingest.py --run URI"""

from __future__ import annotations

from functools import partial

from pyspark import SparkContext

from imagefeatures import ingest
from imagefeatures.plan import Run
from spread import main, spread


def work(context: SparkContext, run: Run) -> None:
    listing = ingest.list_source(run, workers=context.defaultParallelism)
    spread(context, run, ingest.STEP, listing.shards, partial(ingest.run_shard, run))


if __name__ == "__main__":
    main(ingest.STEP, work)
