"""Check every frozen object without decoding it: spark-submit jobs/validate.py --run URI"""

import runpy

runpy.run_module("imagefeatures_spark.validate", run_name="__main__")
