"""Decode the images and make the model's input of them: spark-submit resize.py --run URI"""

from __future__ import annotations

from functools import partial

from pyspark import SparkContext

from imagefeatures import manifest, shards, steps
from imagefeatures.plan import Run
from imagefeatures.steps import equal_bytes, file_index, resize, reuse
from imagefeatures_spark.distribute import FILES_AT_ONCE, each, main, spread


def work(context: SparkContext, run: Run) -> None:
    count = manifest.read_listing(run).shards
    todo = shards.pending(run.layout, steps.RESIZE, count)
    equal_bytes.settle_moves(run, count, todo)
    if todo and (files := reuse.known_files(run)) and not reuse.search(run).has_ended():
        find_known(context, run, files, todo)
    spread(context, run, steps.RESIZE, count, partial(resize.run_shard, run))


def find_known(context: SparkContext, run: Run, files: list[reuse.KnownFile], todo: list[int]) -> None:
    """Join the table with the run by hash, and write down the matches of each shard for the worker that does it."""
    numbered = file_index.candidates(run, files, todo, file_index.IMAGES, partial(each, context))
    if not numbered:
        reuse.search(run).end([])
        return
    slices = min(len(numbered), FILES_AT_ONCE * context.defaultParallelism)
    known = context.parallelize(numbered, slices).flatMap(partial(reuse.row_locations, run))
    images = context.parallelize(todo, len(todo)).flatMap(partial(reuse.identities, run))
    matches = known.cogroup(images).values().flatMap(partial(reuse.matches, files))
    search = reuse.search(run)
    search.end(matches.groupByKey().map(lambda of_shard: search.write(*of_shard)).collect())


if __name__ == "__main__":
    main(steps.RESIZE, work)
