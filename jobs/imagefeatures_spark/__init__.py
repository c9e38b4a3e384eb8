"""The Spark jobs, and the data source `imagefeatures.images`.

    ingest, validate, resize, featurize
                   one job each: a script with one argument, in a checkout or in site-packages
    distribute     what the jobs have in common
    image_source   the data source, as Spark sees it
    image_options  its options
    image_rows     its listing and its record batches


    spark-submit …/imagefeatures_spark/ingest.py --run URI
    python -m imagefeatures_spark.ingest --run URI

Spark's workers get a script's own functions by value, and all others by name: they need imagefeatures and PySpark.
This module imports nothing, so that a script does not load the modules of the others.
"""
