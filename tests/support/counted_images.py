"""`imagefeatures.images` with a weak decoder, and with every decoded image counted: for Spark's workers."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
from pyspark.sql.datasource import InputPartition
from pyspark.sql.types import StructType

from imagefeatures import bitmaps
from imagefeatures.isolation import Batch, Isolated
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import PixelRule
from imagefeatures_spark.image_source import ImageReader, ImageSource
from support import poison

COUNTS = "COUNTED_IMAGES"
"""The environment variable of the folder that gets a file for each batch: how many images it decoded."""


class CountingDecoder(Isolated):
    def run(self, blobs: list[bytes], limits: Limits, preprocessing: PixelRule | None = None) -> Batch:
        Path(os.environ[COUNTS], uuid.uuid4().hex).write_text(str(len(blobs)))
        return super().run(blobs, limits, preprocessing)


@lru_cache
def decoder() -> Isolated:
    return CountingDecoder(poison.decode_bitmap)


class CountedReader(ImageReader):
    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        bitmaps._decoder = decoder
        return super().read(partition)


class CountedImages(ImageSource):
    @classmethod
    def name(cls) -> str:
        return "counted.images"

    def reader(self, schema: StructType) -> CountedReader:
        return CountedReader(dict(self.options), schema)


def decoded(folder: Path) -> int:
    """How many images were decoded since the last call."""
    files = list(folder.iterdir())
    count = sum(int(file.read_text()) for file in files)
    for file in files:
        file.unlink()
    return count
