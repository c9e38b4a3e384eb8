"""The deployment of the cluster tests, and its Spark cluster: a master and workers from the PySpark package."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from demo import photos
from imagefeatures.settings import Settings
from support.servers import free_port, started

BUCKET = "images"
DAY = photos.PARTITIONS[0]
WORKERS = 2
SPARK_SECRET = "canary-of-spark-51c0"
SECRECY = {"spark.authenticate": "true", "spark.network.crypto.enabled": "true"}
"""Connections to the cluster need the secret, which is read only from the variable _SPARK_AUTH_SECRET."""
NO_SECRET = {"spark.authenticate.secret": "in-the-environment"}
"""The driver requires a value; _SPARK_AUTH_SECRET takes precedence over it."""

DEPLOY = "org.apache.spark.deploy"


@dataclass(frozen=True)
class Stack:
    """The deployment. work: the Spark workers' folders. events: Spark's event logs. database: the URL of Airflow's."""

    home: Path
    work: Path
    events: Path
    settings: Settings
    database: str


@contextlib.contextmanager
def spark_cluster(
    folder: Path, workers: int, names: tuple[str, ...] = ("127.0.0.1",), python: str = sys.executable
) -> Iterator[str]:
    """A cluster with workers of one core each. Yields the master's address, spark://127.0.0.1:port.

    folder: for the executors' output (worker-0/…). names: host names of 127.0.0.1, assigned to the workers in turn;
    Spark takes each name for another host. python: of the environment whose Spark it is, and of the executors.
    """
    spark_class = str(Path(python).parent / "spark-class")
    port = free_port()
    settings = folder / "spark.conf"
    settings.write_text("\n".join(["spark.master.rest.enabled false", *(" ".join(pair) for pair in SECRECY.items())]))
    env = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": python, "_SPARK_AUTH_SECRET": SPARK_SECRET}
    own = ["--webui-port", "0", "--properties-file", str(settings)]
    with contextlib.ExitStack() as running:
        master = [spark_class, f"{DEPLOY}.master.Master", "--host", "127.0.0.1", "--port", str(port), *own]
        running.enter_context(started(master, env, port))
        for number in range(workers):
            worker_port, worker_folder = free_port(), folder / f"worker-{number}"
            address = ["--host", names[number % len(names)], "--port", str(worker_port)]
            worker = [spark_class, f"{DEPLOY}.worker.Worker", *address, *own]
            limits = ["--cores", "1", "--memory", "1g", "--work-dir", str(worker_folder)]
            running.enter_context(started([*worker, *limits, f"spark://127.0.0.1:{port}"], env, worker_port))
        yield f"spark://127.0.0.1:{port}"


def executors(folder: Path) -> dict[str, int]:
    """Worker: how many executors it has run. Each executor leaves a folder."""
    return {worker.name: len(list(worker.glob("app-*/*"))) for worker in sorted(folder.glob("worker-*"))}
