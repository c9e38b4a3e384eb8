"""Check every frozen object without decoding it: spark-submit validate.py --run URI"""

from __future__ import annotations

from functools import partial

from pyspark import SparkContext

from imagefeatures import budget, manifest, steps
from imagefeatures.plan import Run
from imagefeatures.redrive import relisting
from imagefeatures.steps import validate
from imagefeatures_spark.distribute import main, spread


def work(context: SparkContext, run: Run) -> None:
    count = manifest.read_listing(run).shards
    if run.dataset.duplicates == "reject" and not validate.search(run).has_ended():
        find_duplicates(context, run, count)
    spread(context, run, steps.VALIDATE, count, partial(validate.run_shard, run))
    budget.check_budget(run)


def find_duplicates(context: SparkContext, run: Run, count: int) -> None:
    """Join the whole partition by hash, and write down the duplicates of each shard for the worker that does it."""
    images = context.parallelize(range(count), max(count, 1)).flatMap(partial(validate.identities, run))
    if files := relisting.published_files(run):
        images = images.union(context.parallelize(files, len(files)).flatMap(validate.published_identities))
    same = images.groupByKey().values().flatMap(validate.duplicates_of)
    search = validate.search(run)
    search.end(same.groupByKey().map(lambda of_shard: search.write(*of_shard)).collect())


if __name__ == "__main__":
    main(steps.VALIDATE, work)
