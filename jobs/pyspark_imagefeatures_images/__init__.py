"""Makes `spark.read.format("imagefeatures.images")` work without a call to register it.

At the first format that it does not know, Spark imports every top-level module whose name begins with `pyspark_`, and
registers its `DefaultSource`. Each Spark session of a machine does so: nothing heavy is imported here.
"""

from imagefeatures_spark.image_source import ImageSource as DefaultSource

__all__ = ["DefaultSource"]
