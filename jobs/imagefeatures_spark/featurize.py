"""Run the model over the resized images: spark-submit featurize.py --run URI"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from pyspark import SparkContext, TaskContext
from pyspark.core.broadcast import Broadcast
from pyspark.resource import ResourceInformation

from imagefeatures import manifest, steps
from imagefeatures.models import engines, gpus, prepare
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt
from imagefeatures.steps import featurize
from imagefeatures_spark.distribute import main, spread


def work(context: SparkContext, run: Run) -> None:
    # The driver reads a model once, and Spark passes it from executor to executor: no worker reads it from the store.
    of_table = {
        output.table: context.broadcast(prepare.read_bundle(output.spec, output.preprocessing, run.lake))
        for output in run.models
    }
    bundles = [of_table[output.table] for output in run.outputs if output.model]
    spread(
        context, run, steps.FEATURIZE, manifest.read_listing(run).shards, lambda shard: on_worker(run, shard, bundles)
    )


def on_worker(run: Run, shard: int, bundles: Sequence[Broadcast[engines.Bundle]]) -> Receipt:
    """bundles: of each output of the run that has a model."""
    task = TaskContext.get()
    gpus.use_gpu(gpu_of(task.resources() if task else {}))
    lazy = (engines.LazyEngine(partial(_engine, run.dataset.engine, bundle)) for bundle in bundles)
    return featurize.run_shard(run, shard, *lazy)


def _engine(name: str | ServedEngine, bundle: Broadcast[engines.Bundle]) -> engines.Engine:
    return engines.cached(name, bundle.value)


def gpu_of(resources: Mapping[str, ResourceInformation]) -> str | None:
    """The address of the GPU that Spark has given to a task; None when Spark has no GPUs."""
    addresses = resources["gpu"].addresses if "gpu" in resources else []
    return addresses[0] if addresses else None


if __name__ == "__main__":
    main(steps.FEATURIZE, work)
