"""Queries of `imagefeatures.images` in one real Spark: writes what they give to a pickle.

python image_queries.py ALIKE DIFFERENT MANY TABLE OUTPUT: the folders of files, a Parquet file with bytes, the pickle.
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from imagefeatures.names import IMAGES_FORMAT as FORMAT
from support import counted_images

CLOSED = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.authenticate": "true",
    "spark.ui.enabled": "false",
    "spark.driver.memory": "700m",
}
HEADER = "image struct<origin:string,height:int,width:int,nChannels:int,mode:int>"


def images(frame: DataFrame) -> dict[str, tuple[Any, ...]]:
    return {row.image.origin: tuple(row.image) for row in frame.collect()}


def main(alike: str, different: str, many: str, table: str, output: str) -> None:
    spark = SparkSession.builder.master("local[2]").appName("images").config(map=CLOSED).getOrCreate()
    counts = Path(os.environ[counted_images.COUNTS])
    found: dict[str, Any] = {}
    # Nothing has registered the format: Spark finds it by the name of a module.
    for name, folder in (("alike", alike), ("different", different)):
        ours = spark.read.format(FORMAT).option("raw", "true").load(folder)
        stock = spark.read.format("image").load(f"file://{folder}")
        found[name] = (images(ours), images(stock))
        found[f"{name} schemas"] = (ours.schema, stock.schema)
        headers = spark.read.format(FORMAT).options(raw="true", metadataOnly="true").load(folder)
        found[f"{name} headers"] = images(headers)
    kept = spark.read.format(FORMAT).options(raw="true", dropInvalid="true").load(different)
    stock = spark.read.format("image").option("dropInvalid", "true").load(f"file://{different}")
    found["valid"] = (images(kept), images(stock))

    spark.dataSource.register(counted_images.CountedImages)
    hostile = spark.read.format("counted.images").options(label="parent", limits="{decode_seconds: 1}")
    rows = hostile.load(many).selectExpr("uri", "label", "image IS NULL AS bad", "reason", "length(image.data) AS size")
    found["many"] = [row.asDict() for row in rows.collect()]
    found["many decoded"] = counted_images.decoded(counts)
    sizes = hostile.option("metadataOnly", "true").load(many).selectExpr("image.width * image.height AS size", "reason")
    found["metadata"] = [row.asDict() for row in sizes.collect()]
    found["metadata decoded"] = counted_images.decoded(counts)
    pruned = spark.read.format("counted.images").schema(HEADER).load(many)
    found["pruned"] = pruned.filter("image.width IS NOT NULL").count()
    found["pruned decoded"] = counted_images.decoded(counts)
    source = f"{{kind: parquet_bytes, uri: 'file://{table}', key: name, label: {{column: sort}}}}"
    bytes_inside = spark.read.format(FORMAT).option("source", source).load()
    found["table"] = [row.asDict(recursive=True) for row in bytes_inside.collect()]
    empty = Path(output).with_name("empty")
    empty.mkdir()
    found["empty"] = spark.read.format(FORMAT).load(str(empty)).collect()
    try:
        spark.read.format(FORMAT).load(f"{empty}/gone").collect()
    except Exception as error:
        found["gone"] = str(error)
    Path(output).write_bytes(pickle.dumps(found))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
