"""The steps of a run that work on images: their names here, each one's work in the module of its name.

ingest     freezes the bytes of every listed object
validate   judges each object by its headers
resize     decodes, and makes the model's input; `reuse` finds vectors that the table holds already
featurize  computes the vectors
register   audits the run and publishes it

No step imports another. They meet in the lake: each reads what the one before it wrote.
"""

from __future__ import annotations

INGEST = "ingest"
VALIDATE = "validate"
RESIZE = "resize"
FEATURIZE = "featurize"
REGISTER = "register"

SPARK_STEPS = (INGEST, VALIDATE, RESIZE, FEATURIZE)
"""The steps that work on shards, in order."""

STEPS = (*SPARK_STEPS, REGISTER)
