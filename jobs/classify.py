"""Fit a classifier to a dataset's vectors, judge it and predict: spark-submit jobs/classify.py --job URI"""

import runpy

runpy.run_module("imagefeatures_spark.classify", run_name="__main__")
