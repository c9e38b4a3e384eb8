"""The Spark jobs. Each module but `distribute` is a script with one argument, wherever it is installed.

    spark-submit …/imagefeatures_spark/ingest.py --run URI
    python -m imagefeatures_spark.ingest --run URI

Spark's workers get a script's own functions by value, and all others by name: they need imagefeatures and PySpark.
Nothing is imported here: a script that is submitted does not pay for the others.
"""
