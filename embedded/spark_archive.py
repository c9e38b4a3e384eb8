"""The JVM's class archive: Spark's few thousand classes, parsed and checked once instead of at every job."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from embedded.environment import CLASS_ARCHIVE, QUICK_START, environment

# What every job of ours does, so that its classes are in the archive: start, broadcast, map, shuffle, collect.
TYPICAL_JOB = """
from pyspark import SparkConf, SparkContext
context = SparkContext(conf=SparkConf().setAppName("archive").set("spark.ui.enabled", "false"))
shared = context.broadcast(b"x")
pairs = context.parallelize(range(4), 4).map(lambda n: (n % 2, shared.value))
assert len(pairs.collect()) == 4 and pairs.groupByKey().count() == 2
context.stop()
"""


def make() -> None:
    """Write the archive, unless this environment already has it. Without one everything works, a little later."""
    if CLASS_ARCHIVE.is_file():
        return
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        job, draft = Path(folder) / "job.py", CLASS_ARCHIVE.with_suffix(".part")
        job.write_text(TYPICAL_JOB)
        env = environment(Path(folder), 0)
        env["SPARK_SUBMIT_OPTS"] = f"{QUICK_START} -XX:ArchiveClassesAtExit={draft}"
        done = subprocess.run(  # noqa: S603
            ["spark-submit", "--master", "local[2]", str(job)],  # noqa: S607
            env=env,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"Spark does not run here:\n{done.stderr[-2000:]}")
    if draft.is_file():
        draft.replace(CLASS_ARCHIVE)
