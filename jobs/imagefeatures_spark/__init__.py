"""The Spark jobs, and the data sources `imagefeatures.images` and `imagefeatures.features`.

    ingest, validate, resize, featurize
                   one job each: a script with one argument, in a checkout or in site-packages
    distribute     what the jobs have in common
    classify       the job that fits a classifier, with another argument
    fit            SparkML's part of it
    saved_form     SparkML's folder of it
    image_source   the data source, as Spark sees it
    image_options  its options
    image_rows     its listing and its record batches
    feature_source  the data source for features
    feature_rows    its options and its record batches


    spark-submit …/imagefeatures_spark/ingest.py --run URI
    python -m imagefeatures_spark.ingest --run URI

Spark's workers get a script's own functions by value, and all others by name: they need imagefeatures and PySpark.
This module imports nothing, so that a script does not load the modules of the others.
"""
