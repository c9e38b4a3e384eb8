"""List the source and freeze the bytes of every object: spark-submit jobs/ingest.py --run URI"""

import runpy

runpy.run_module("imagefeatures_spark.ingest", run_name="__main__")
