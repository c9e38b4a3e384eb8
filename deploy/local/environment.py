"""The environment variables of the local deployment's processes, and where its files are."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]  # not from the settings: the image runs this without the package

HOME = REPOSITORY / ".airflow"
"""Airflow's folder in this checkout."""

SPARK_HOME = Path(sys.prefix) / "spark"
CLASS_ARCHIVE = Path(sys.prefix) / "spark-classes.jsa"
LAUNCHER_ARCHIVE = Path(sys.prefix) / "spark-launcher-classes.jsa"
"""All three are made by deploy.local.spark_start."""

READERS = Path(sys.prefix) / "readers"
"""Packages for readers of the tables, not used by the service: see requirements/readers.in."""

QUICK_START = (
    "-XX:TieredStopAtLevel=1 "  # the driver only hands out shards, so the optimising compiler costs more than it saves
    "-XX:+UseSerialGC "  # one core is enough for a heap of a few megabytes
    "-XX:-UsePerfData"
)


def environment(home: Path, port: int) -> dict[str, str]:
    """The variables for every process of the deployment. The user's own variables override the defaults.

    home: Airflow's folder (database, logs, password). port: of its API server, on 127.0.0.1; 0 for a process
    that does not use the server.
    """
    address = f"http://127.0.0.1:{port}"
    defaults = {
        # How many tasks run at once. Each may be a JVM with its workers, so more tasks than cores only take longer.
        "AIRFLOW__CORE__PARALLELISM": str(max(2, os.cpu_count() or 2)),
        "AIRFLOW__CORE__MAX_MAP_LENGTH": "10000",  # partitions of a re-drive
        "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS": "False",  # a malformed dataset file is one readable line
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",  # the wait between two tasks
        # A task's slot stays taken for up to a heartbeat's interval after its end: with 5 s, the default, the task
        # after the next waits for it.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # On a busy machine the API server may not respond for two minutes, which must not kill a Spark step.
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "120",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "8",  # three minutes: it may be started again in the meantime
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": "local[*]"}),
        **({"SPARK_HOME": str(SPARK_HOME)} if SPARK_HOME.is_dir() else {}),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LAUNCHER_OPTS": " ".join([QUICK_START, *_archived(LAUNCHER_ARCHIVE)]),
        "SPARK_SUBMIT_OPTS": spark_options(),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": "1",  # there is one worker a core: more threads would compete for it
        "MALLOC_ARENA_MAX": "2",  # else each thread of register keeps freed memory of its own: 30 MiB at a million rows
    }
    fixed = {  # these override the user's own variables, which may be meant for another Airflow or Spark
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        # Where the API server asks for the log of a running task, besides the file. services.py starts no such server,
        # and on this port no other user can.
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "1",
        "PYSPARK_PYTHON": sys.executable,  # by default Spark's workers run the first `python3` on the path
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",  # finds spark-submit
    }
    return {**defaults, **os.environ, **fixed}


def spark_options() -> str:
    """Options of the driver's JVM. With the class archive, if it exists, the JVM starts in two thirds of the time."""
    quiet = f"-Dlog4j2.configurationFile={(REPOSITORY / 'jobs' / 'imagefeatures_spark' / 'log4j2.properties').as_uri()}"
    return " ".join([QUICK_START, quiet, *_archived(CLASS_ARCHIVE)])


def _archived(archive: Path) -> list[str]:
    """Options by which a JVM takes its classes from an archive, if it exists."""
    return [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds*=off"] if archive.is_file() else []
