"""Makes `spark.read.format("imagefeatures.features")` work without a call to register it.

As `pyspark_imagefeatures_images` does for images: Spark registers the `DefaultSource` of every such module.
"""

from imagefeatures_spark.feature_source import FeatureSource as DefaultSource

__all__ = ["DefaultSource"]
