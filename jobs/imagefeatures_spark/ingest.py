"""List the source and freeze the bytes of every object: spark-submit ingest.py --run URI"""

from __future__ import annotations

from functools import partial

from pyspark import SparkContext

from imagefeatures import manifest, shards, steps
from imagefeatures.plan import Run
from imagefeatures.sources.passed_over import in_words
from imagefeatures.steps import ingest
from imagefeatures_spark.distribute import FILES_AT_ONCE, each, main, spread


def work(context: SparkContext, run: Run) -> None:
    listing = manifest.list_source(run, workers=context.defaultParallelism)
    print(f"ingest: {listing.objects:,} objects listed, {in_words(listing.passed_over)}", flush=True)
    if run.source.names_hosts and shards.pending(run.layout, steps.INGEST, listing.shards):
        find_unchanged(context, run, listing.shards)
    spread(context, run, steps.INGEST, listing.shards, partial(ingest.run_shard, run), listing.lanes)


def find_unchanged(context: SparkContext, run: Run, count: int) -> None:
    """Join the table with the run by URL, and write down the versions of each shard for the worker that does it.

    count: how many shards the run has.
    """
    from imagefeatures.steps import file_index, unchanged  # they import pyarrow.compute, which a folder does not need

    files, search = unchanged.files(run), unchanged.search(run)
    if not files or search.has_ended():
        return
    numbered = file_index.candidates(run, files, range(count), file_index.URLS, partial(each, context))
    if not numbered:
        search.end([])
        return
    slices = min(len(numbered), FILES_AT_ONCE * context.defaultParallelism)
    known = context.parallelize(numbered, slices).flatMap(partial(unchanged.versions, run))
    urls = context.parallelize(range(count), count).flatMap(partial(unchanged.urls, run))
    found = known.cogroup(urls).values().flatMap(partial(unchanged.newest, files))
    search.end(found.groupByKey().map(lambda of_shard: search.write(*of_shard)).collect())


if __name__ == "__main__":
    main(steps.INGEST, work)
