"""Decode the images and make the model's input of them: spark-submit jobs/resize.py --run URI"""

import runpy

runpy.run_module("imagefeatures_spark.resize", run_name="__main__")
