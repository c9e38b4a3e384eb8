"""The installed packages work together."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import subprocess
import sys
from pathlib import Path

import pyspark


def test_pyspark_is_whole_and_no_other_package_overwrites_it() -> None:
    assert importlib.metadata.version("pyspark") == pyspark.__version__
    names = {distribution.metadata["Name"].lower() for distribution in importlib.metadata.distributions()}
    assert "pyspark-client" not in names
    assert (Path(pyspark.__file__).parent / "jars").is_dir()


def test_a_real_udf_runs() -> None:
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import udf

    os.environ["PYSPARK_PYTHON"] = sys.executable
    logging.getLogger("py4j").setLevel(logging.ERROR)  # it logs at exit, when pytest has closed the streams
    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        twice = udf(lambda n: n * 2, "long")
        assert [row[0] for row in session.range(3).select(twice("id")).collect()] == [0, 2, 4]
    finally:
        session.stop()


def test_no_process_of_the_service_can_import_pandas() -> None:
    # If pandas is installed, PyArrow imports it at its first array and PySpark at its first setting: a second each.
    program = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pandas') is not None)"
    assert subprocess.run([sys.executable, "-I", "-c", program]).returncode == 0
