"""Run the model over the resized images: spark-submit jobs/featurize.py --run URI"""

import runpy

runpy.run_module("imagefeatures_spark.featurize", run_name="__main__")
