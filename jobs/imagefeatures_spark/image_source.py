"""`spark.read.format("imagefeatures.images")`: the images of any source, as Spark's own source `image` gives them.

Every Spark session may import this module, so what lists, reads and decodes is imported when a query needs it. Options
and columns: docs/spark.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

from imagefeatures.names import IMAGES_FORMAT

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType

    from imagefeatures.sources import Source

COLUMNS = "uri string, key string, label string, reason string, detail string"
"""The columns beside `image`."""


@dataclass
class Images(InputPartition):
    """What one task reads: rows of imagefeatures.schemas.LISTING that one source has listed."""

    source: Source
    rows: list[dict[str, Any]]


class ImageSource(DataSource):
    """The format. Registered by itself where the package is installed, else by `spark.dataSource.register`."""

    @classmethod
    def name(cls) -> str:
        return IMAGES_FORMAT

    def schema(self) -> str:
        """The columns without a schema of the user's own. Raises ParamsError."""
        from imagefeatures_spark.image_options import Options

        options = Options.parse(dict(self.options))
        data = "" if options.metadata_only else ", data binary"
        image = f"image struct<origin string, height int, width int, nChannels int, mode int{data}>"
        if not options.raw:
            return f"{image}, {COLUMNS}"
        return f"{image}, label string" if options.label else image

    def reader(self, schema: StructType) -> ImageReader:
        return ImageReader(dict(self.options), schema)


class ImageReader(DataSourceReader):
    """Lists on the driver; fetches and decodes in tasks. options: as Spark has them, in any case."""

    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        self._options, self._schema = options, schema

    def partitions(self) -> list[InputPartition]:
        """The listing, cut into tasks. Raises ParamsError, NoInput, StoreRefused or StoreError."""
        from imagefeatures_spark import image_rows
        from imagefeatures_spark.image_options import Options

        options = Options.parse(self._options)
        image_rows.check_schema(self._schema, options)  # before the listing, which may take long
        return [
            Images(source, rows)
            for source in options.sources()
            for rows in image_rows.cut(image_rows.listed(source, options), options.num_partitions)
        ]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of a task, with at most 32 MiB of pixels or one image in each batch."""
        from imagefeatures_spark import image_rows
        from imagefeatures_spark.image_options import Options

        if not isinstance(partition, Images):  # None: Spark makes a task even where nothing is listed
            return iter(())
        options = Options.parse(self._options)
        return image_rows.read(partition.source, partition.rows, self._schema, options)
