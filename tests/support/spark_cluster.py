"""The words in which the tests speak of the deployment, and its Spark cluster: a master and workers from the wheel."""

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
"""Only who knows the secret may speak to the cluster; it is read from the variable _SPARK_AUTH_SECRET alone."""
NO_SECRET = {"spark.authenticate.secret": "in-the-environment"}
"""The driver insists on a value; _SPARK_AUTH_SECRET wins over it."""

DEPLOY = "org.apache.spark.deploy"


@dataclass(frozen=True)
class Stack:
    """Where the deployment is. work: the Spark workers' folders. events: Spark's event logs. database: Airflow's."""

    home: Path
    work: Path
    events: Path
    settings: Settings
    database: str


@contextlib.contextmanager
def spark_cluster(
    folder: Path, workers: int, names: tuple[str, ...] = ("127.0.0.1",), python: str = sys.executable
) -> Iterator[str]:
    """Workers of one core each. Yields the master's address, spark://127.0.0.1:port.

    folder: where the workers keep what the executors print (worker-0/…).
    names: of 127.0.0.1, given to the workers in turn. To Spark each is a host of its own.
    python: of the environment whose Spark it is, and of the executors.
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
        for at in range(workers):
            port_of_worker, place = free_port(), folder / f"worker-{at}"
            address = ["--host", names[at % len(names)], "--port", str(port_of_worker)]
            worker = [spark_class, f"{DEPLOY}.worker.Worker", *address, *own]
            limits = ["--cores", "1", "--memory", "1g", "--work-dir", str(place)]
            running.enter_context(started([*worker, *limits, f"spark://127.0.0.1:{port}"], env, port_of_worker))
        yield f"spark://127.0.0.1:{port}"


def executors(folder: Path) -> dict[str, int]:
    """How many executors each worker has run: each left a folder of its own."""
    return {place.name: len(list(place.glob("app-*/*"))) for place in sorted(folder.glob("worker-*"))}
