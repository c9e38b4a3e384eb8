"""Queries in one real Spark: what `imagefeatures.features` gives, and what saved classifiers predict. Writes a pickle.

python spark_queries.py DATASET OUTPUT FOLDER…: the folders of classifiers.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from imagefeatures.names import FEATURES_FORMAT as FORMAT
from imagefeatures_spark.fit import held_out

CLOSED = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.authenticate": "true",
    "spark.ui.enabled": "false",
    "spark.driver.memory": "700m",
}


def main(dataset: str, output: str, *folders: str) -> None:
    spark = SparkSession.builder.master("local[2]").appName("features").config(map=CLOSED).getOrCreate()
    found: dict[str, Any] = {}
    # Nothing has registered the format: Spark finds it by the name of a module.
    plain = spark.read.format(FORMAT).load(dataset)
    found["schema"] = plain.schema.simpleString()
    found["rows"] = {row.uri: row.asDict() for row in plain.collect()}
    found["counted"] = plain.count()
    found["by label"] = {row.label: row["count"] for row in plain.groupBy("label").count().collect()}
    asked = spark.read.format(FORMAT).options(where="label = 'fig'", split="test").schema("uri string, width int")
    found["asked"] = [tuple(row) for row in asked.load(dataset).collect()]
    vectors = spark.read.format(FORMAT).option("vector", "true").load(dataset)
    found["vector schema"] = vectors.schema["features"].dataType.simpleString()
    found["vectors"] = {row.uri: row.features.toArray() for row in vectors.select("uri", "features").collect()}
    for seed in (0, 7):
        found["held out", seed] = [row.uri for row in vectors.where(held_out(0.3, seed)).select("uri").collect()]
    for folder in folders:
        rows = PipelineModel.load(f"{folder}/spark").transform(vectors).select("uri", "predicted", "probability")
        found[folder] = {row.uri: (row.predicted, row.probability.toArray()) for row in rows.collect()}
    Path(output).write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
