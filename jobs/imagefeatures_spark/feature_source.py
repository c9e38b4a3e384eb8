"""`spark.read.format("imagefeatures.features")`: one snapshot of a dataset's table, without Iceberg's jars.

    spark.read.format("imagefeatures.features").option("vector", "true").load("fruit")

Every Spark session may import this module, so what reads is imported when a query needs it. Options and columns:
docs/spark.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

from imagefeatures.names import FEATURES_FORMAT

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType

    from imagefeatures.catalog.snapshots import Plan


@dataclass
class Files(InputPartition):
    """What one task reads: a plan with some of the snapshot's files."""

    plan: Plan


class FeatureSource(DataSource):
    """The format. Registered by itself where the package is installed, else by `spark.dataSource.register`."""

    @classmethod
    def name(cls) -> str:
        return FEATURES_FORMAT

    def schema(self) -> StructType:
        """The columns without a schema of the user's own. Raises ParamsError."""
        from imagefeatures_spark.feature_rows import Options, schema

        return schema(Options.parse(dict(self.options)))

    def reader(self, schema: StructType) -> FeatureReader:
        return FeatureReader(dict(self.options), schema)


class FeatureReader(DataSourceReader):
    """Asks the catalog on the driver; reads files in tasks. options: as Spark has them, in any case."""

    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        self._options, self._schema = options, schema

    def partitions(self) -> list[InputPartition]:
        """The files of the snapshot, cut into tasks. Raises ParamsError, InputError, CatalogError or StoreError."""
        from imagefeatures_spark import feature_rows

        options = feature_rows.Options.parse(self._options)
        feature_rows.check_schema(self._schema)
        return [Files(plan) for plan in feature_rows.cut(feature_rows.planned(options))]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of a task, at most 1024 in each batch."""
        from imagefeatures_spark import feature_rows

        if not isinstance(partition, Files):  # None: Spark makes a task even where there is no file
            return iter(())
        return feature_rows.read(partition.plan, self._schema, feature_rows.Options.parse(self._options).dataset)
