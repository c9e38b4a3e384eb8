"""The widely copied notebook: `binaryFile`, a SCALAR_ITER pandas UDF, Keras `predict`, Parquet.

After Databricks' "Featurization for transfer learning with TensorFlow": weights are broadcast, the
model is built once for each iterator of batches, an image is resized by Pillow's default (bicubic),
1024 records make an Arrow batch, and the files are spread over 16 partitions. Model and preprocessing
are those of MobileNetV2. spark-submit runs it in the pipeline's own environment.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, pandas_udf

from benchmarks.model import MODEL
from benchmarks.peers.common import Request, timed
from imagefeatures.models.reference import build, scaled
from imagefeatures.models.weights import load_weights
from imagefeatures.settings import Settings

PARTITIONS = 16
RECORDS = 1024


def main() -> None:
    request = Request.from_arguments()
    spark = SparkSession.builder.appName("notebook").getOrCreate()
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(RECORDS))
    timed(request, lambda: query(spark, request), ("pyspark", "keras", "tensorflow-cpu", "pillow"))
    spark.stop()


def query(spark: SparkSession, request: Request) -> None:
    weights = spark.sparkContext.broadcast(load_weights(MODEL, Settings.from_env().cache))

    def preprocess(content: bytes) -> np.ndarray:
        image = Image.open(io.BytesIO(content))
        ImageOps.exif_transpose(image, in_place=True)  # or its vectors would not count
        return scaled(np.asarray(image.resize([224, 224])), MODEL.value_scale)

    def featurize(series: Iterator[pd.Series]) -> Iterator[pd.Series]:
        model = build(MODEL, weights.value)
        for contents in series:
            vectors = model.predict(np.stack(contents.map(preprocess)))
            yield pd.Series(list(vectors))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SCALAR_ITER is deprecated in favour of type hints
        featurize_udf = pandas_udf(featurize, "array<float>")
    images = spark.read.format("binaryFile").option("pathGlobFilter", "*.*").option("recursiveFileLookup", "true")
    (
        images.load(str(request.photos))
        .repartition(PARTITIONS)
        .select(col("path"), featurize_udf("content").alias("features"))
        .write.mode("overwrite")
        .parquet(str(request.out))
    )


if __name__ == "__main__":
    main()
