"""SparkML's own folder of a pipeline, on a disk of the driver's machine.

SparkML writes it by tasks, so on a cluster every executor would write to its own disk, and S3 would need Hadoop's
client. There the driver writes SparkML's local form, which no other program reads, and a Spark of one process turns it
into the usual one:

    python -m imagefeatures_spark.saved_form LOCAL_FORM FOLDER
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from pyspark import SparkConf, SparkContext
from pyspark.ml import PipelineModel

from imagefeatures.errors import StoreError

CLOSED = {
    "spark.master": "local[1]",
    "spark.app.name": "saved form",
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.authenticate": "true",
}
CLASSPATH_FREE = ("SPARK_CONF_DIR", "PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET", "PYSPARK_SUBMIT_ARGS")
"""Variables by which a driver's child would join the driver's own Spark, or take its cluster's settings."""


def save(model: PipelineModel, folder: Path, context: SparkContext) -> Path:
    """Write the pipeline. folder: an empty one. Returns where it lies in there; StoreError where that fails."""
    saved = folder / "spark"
    if re.fullmatch(r"local(\[.*\])?", context.master or ""):
        model.write().overwrite().save(saved.as_uri())
        return saved
    local = folder / "local"
    java: Any = model._to_java()
    java.write().saveToLocal(str(local))
    env = {name: value for name, value in os.environ.items() if name not in CLASSPATH_FREE}
    command = [sys.executable, "-m", "imagefeatures_spark.saved_form", str(local), str(saved)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        lines = (done.stdout + done.stderr).split("\n")
        raise StoreError(f"SparkML's folder of the classifier cannot be written: {' '.join(lines[-4:])[:300]}")
    return saved


def convert(local: str, folder: str) -> None:
    """Turn SparkML's local form into the usual one."""
    conf = SparkConf()
    for name, value in CLOSED.items():
        conf.set(name, value)
    context = SparkContext(conf=conf)
    jvm: Any = context._jvm
    jvm.org.apache.spark.ml.PipelineModel.read().loadFromLocal(local).write().save(Path(folder).as_uri())
    context.stop()


if __name__ == "__main__":
    convert(*sys.argv[1:])
