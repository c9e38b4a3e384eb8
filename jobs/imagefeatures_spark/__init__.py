"""The Spark jobs. Each module except `distribute` is a script with one argument, in a checkout or in site-packages.

    spark-submit …/imagefeatures_spark/ingest.py --run URI
    python -m imagefeatures_spark.ingest --run URI

Spark's workers get a script's own functions by value, and all others by name: they need imagefeatures and PySpark.
This module imports nothing, so that a script does not load the modules of the others.
"""
