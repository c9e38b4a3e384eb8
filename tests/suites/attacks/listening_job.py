"""A Spark job that starts as the project's own do, and waits until its standard input ends: for test_spark_ports."""

from __future__ import annotations

import sys

from imagefeatures_spark import distribute

context = distribute._start("listening", {})
assert context.parallelize([1, 2], 2).map(lambda n: n + 1).collect() == [2, 3]
print("listening", flush=True)
sys.stdin.read()
context._jsc.stop()
