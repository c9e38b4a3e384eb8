"""List the source and freeze the bytes of every object: spark-submit ingest.py --run URI"""

from __future__ import annotations

from functools import partial

from pyspark import SparkContext

from imagefeatures import manifest, steps
from imagefeatures.plan import Run
from imagefeatures.sources.passed_over import in_words
from imagefeatures.steps import ingest
from imagefeatures_spark.distribute import main, spread


def work(context: SparkContext, run: Run) -> None:
    listing = manifest.list_source(run, workers=context.defaultParallelism)
    print(f"ingest: {listing.objects:,} objects listed, {in_words(listing.passed_over)}", flush=True)
    spread(context, run, steps.INGEST, listing.shards, partial(ingest.run_shard, run), listing.lanes)


if __name__ == "__main__":
    main(steps.INGEST, work)
