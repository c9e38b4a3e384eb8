"""The environment of the embedded deployment."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from imagefeatures.settings import REPOSITORY

HOME = REPOSITORY / ".airflow"
"""Airflow's folder of this checkout."""

SPARK_HOME = Path(sys.prefix) / "spark"
CLASS_ARCHIVE = Path(sys.prefix) / "spark-classes.jsa"
"""Both made by deploy.local.spark_start."""

READERS = Path(sys.prefix) / "readers"
"""Packages that readers of the tables use and no process of the service: see requirements/readers.in."""

QUICK_START = (
    "-XX:TieredStopAtLevel=1 "  # the driver hands out shard numbers: the optimising compiler would not pay for itself
    "-XX:+UseSerialGC "  # one core for collecting a few megabytes
    "-XX:-UsePerfData"
)


def environment(home: Path, port: int) -> dict[str, str]:
    """Variables for every process of the deployment.

    home: Airflow's folder (database, logs, password). port: of its API server, on 127.0.0.1.
    """
    address = f"http://127.0.0.1:{port}"
    defaults = {
        # Tasks at once. Each may be a JVM and its workers; more than the cores can carry only takes longer.
        "AIRFLOW__CORE__PARALLELISM": str(max(2, os.cpu_count() or 2)),
        "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS": "False",  # a malformed dataset file is one readable line
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",  # between two tasks this is pure waiting
        # A busy machine may keep the API server from answering for a while: that is no reason to kill a Spark step.
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "24",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": "local[*]"}),
        **({"SPARK_HOME": str(SPARK_HOME)} if SPARK_HOME.is_dir() else {}),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LAUNCHER_OPTS": QUICK_START,
        "SPARK_SUBMIT_OPTS": spark_options(),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": "1",  # one worker a core already; threads of their own would fight over it
    }
    fixed = {  # what an Airflow or a Spark of the user's own may have set otherwise
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "PYSPARK_PYTHON": sys.executable,  # else Spark's workers run whatever `python3` is on the path
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",  # spark-submit, by name
    }
    return {**defaults, **os.environ, **fixed}


def spark_options() -> str:
    """Options of the driver's JVM; with the class archive where there is one, it starts in two thirds of the time."""
    quiet = f"-Dlog4j2.configurationFile={(REPOSITORY / 'jobs' / 'imagefeatures_spark' / 'log4j2.properties').as_uri()}"
    archive = [f"-XX:SharedArchiveFile={CLASS_ARCHIVE}", "-Xlog:cds=off"] if CLASS_ARCHIVE.is_file() else []
    return " ".join([QUICK_START, quiet, *archive])
