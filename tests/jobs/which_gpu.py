"""A job for the tests: which GPU a Python worker sees after it was told the GPU of its Spark task."""

from __future__ import annotations

import os

from pyspark import SparkConf, SparkContext, TaskContext

from imagefeatures.models import gpus
from imagefeatures_spark import featurize


def seen(_: int) -> tuple[int, str]:
    gpus.use_gpu(featurize.gpu_of(TaskContext.get().resources()))
    return os.getpid(), os.environ[gpus.VISIBLE]


if __name__ == "__main__":
    found = SparkContext(conf=SparkConf().setAppName("which gpu")).parallelize(range(6), 6).map(seen).collect()
    print("seen:", sorted({address for _, address in found}), "by", len({pid for pid, _ in found}))
