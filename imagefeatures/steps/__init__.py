"""The steps of a run that work on images. This module names them; the work of each is in the module of its name.

ingest     freezes the bytes of every listed object; `unchanged` finds URLs to ask whether they have changed
validate   checks each object by its headers
resize     decodes, and makes the model's input; `pixel_files` takes the pixels, `reuse` finds vectors that the table
           already holds, `equal_bytes` rows of one image
featurize  computes the vectors
register   audits the run and publishes it

`file_index` says which files of a table these searches of ingest and resize need to open; `index_segments` keeps it.

No step imports another. Each reads from the lake what the step before it wrote.
"""

from __future__ import annotations

PLAN = "plan"
INGEST = "ingest"
VALIDATE = "validate"
RESIZE = "resize"
FEATURIZE = "featurize"
REGISTER = "register"

SPARK_STEPS = (INGEST, VALIDATE, RESIZE, FEATURIZE)
"""The steps that work on shards, in order."""

MEASURED = (PLAN, *SPARK_STEPS, REGISTER)
"""The steps whose cost is measured, in order. The model is prepared once for a lake, and is no cost of one run."""

STEPS = (*SPARK_STEPS, REGISTER)
