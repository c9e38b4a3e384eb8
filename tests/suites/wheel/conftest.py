"""The wheel, installed where nothing of the repository is.

One day is run by `dag.test()` and a local Spark, another by Airflow's scheduler and a standalone cluster.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.api import Api
from deploy.local.services import airflow
from support import own_airflow
from support.own_airflow import DAYS, OwnAirflow
from support.shared import until
from support.spark_cluster import NO_SECRET, SECRECY, SPARK_SECRET, WORKERS, spark_cluster

RUN_IN_ONE_PROCESS = """
import json, sys
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.settings import DAGS_FOLDER
bag = BundleDagBag(f"{DAGS_FOLDER}/image_features.py", bundle_path=DAGS_FOLDER, bundle_name="dags-folder")
run = bag.dags["features_birds"].test(run_conf={"partition": sys.argv[1]}, logical_date=None)
files = {name: module.__file__ for name, module in sys.modules.items() if getattr(module, "__file__", None)}
tasks = {ti.task_id: ti.state for ti in run.get_task_instances()}
print(json.dumps({"state": run.state, "tasks": tasks, "files": files}))
"""


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory, weights_cache: Path) -> OwnAirflow:
    """The environment and the user's files; the database of Airflow is made."""
    found = own_airflow.install(tmp_path_factory.mktemp("own-airflow"), weights_cache)
    own_airflow.lay_out(found)
    made = found.run("airflow", "db", "migrate")
    assert made.returncode == 0, made.stderr
    return found


@pytest.fixture(scope="session")
def tested(own: OwnAirflow) -> dict[str, Any]:
    """The first day by `dag.test()`: how it and its tasks ended, and the file of each module that was imported."""
    done = own.run("python", "-c", RUN_IN_ONE_PROCESS, DAYS[0])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]) | {"said": done.stdout}


@pytest.fixture(scope="session")
def cluster(own: OwnAirflow) -> Iterator[dict[str, str]]:
    """A master and two workers of the environment. Yields what Airflow's environment says of them."""
    python = own.bin / "python"
    conf = {"spark.pyspark.python": str(python), **SECRECY, **NO_SECRET}
    for name in ("spark", "work"):
        (own.folder / name).mkdir()
    (own.folder / "spark" / "spark-defaults.conf").write_text("".join(f"{key} {conf[key]}\n" for key in conf))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYTHONPATH", "SPARK_HOME", "SPARK_SUBMIT_OPTS"):
            patch.delenv(name, raising=False)
        with spark_cluster(own.folder / "work", WORKERS, python=str(python)) as master:
            host, _, port = master.rpartition(":")
            yield {
                "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": host, "port": int(port)}),
                "SPARK_CONF_DIR": str(own.folder / "spark"),
                "_SPARK_AUTH_SECRET": SPARK_SECRET,
            }


@pytest.fixture(scope="session")
def api(own: OwnAirflow, tested: dict[str, Any], cluster: dict[str, str]) -> Iterator[Api]:
    """The user's Airflow: scheduler, DAG processor, API server. The page reads the dataset files as well."""

    def variables(home: Path, port: int) -> dict[str, str]:
        return own.variables(home, port) | cluster | {"IMAGEFEATURES_DATASETS": str(own.folder / "datasets")}

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(own.folder)
        with airflow(own.home, variables=variables) as running:
            until(lambda: running.get("/api/v2/dags")["dags"])
            yield running
