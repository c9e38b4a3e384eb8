"""The deployment that the project is named for, without containers: MinIO, PostgreSQL, a Spark cluster, Airflow.

No line of the pipeline differs from that of one machine; all that differs is the environment made here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo import photos
from deploy.local.api import Api
from deploy.local.environment import spark_options
from deploy.local.services import airflow
from imagefeatures import storage
from imagefeatures.settings import Settings
from support.servers import minio, postgres
from support.shared import AWS, until
from support.spark_cluster import BUCKET, DAY, NO_SECRET, SECRECY, SPARK_SECRET, WORKERS, Stack, spark_cluster
from support.watch_secrets import watched_command_lines

EVENT_LOG = {
    "spark.eventLog.enabled": "true",
    "spark.eventLog.compress": "false",
    "spark.eventLog.rolling.enabled": "false",
}


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, photos.Day]:
    """The folder of one day of the demo's photos, and what the day must come to."""
    folder = tmp_path_factory.mktemp("photos")
    days = photos.lay_out(photos.fetch_photos(Settings.from_env().cache), folder)
    return folder / photos.DATASET / DAY, days[0]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, day: tuple[Path, photos.Day]) -> Iterator[Stack]:
    """Store, database and cluster, with the day's photos in the bucket; in the environment while it lasts."""
    root = tmp_path_factory.mktemp("stack")
    for name in ("store", "work", "events", "datasets"):
        (root / name).mkdir()
    source = f"s3://{BUCKET}/photos/{photos.DATASET}"
    (root / "datasets" / "fruit.yaml").write_text(f"name: fruit\nsource: {source}/{{partition}}/\n")
    with contextlib.ExitStack() as running:
        store = running.enter_context(minio(root / "store"))
        databases = running.enter_context(postgres("catalog", "airflow"))
        env = {
            **AWS,
            "AWS_ENDPOINT_URL": store.address,
            "IMAGEFEATURES_LAKE": f"s3://{BUCKET}/lake",
            "IMAGEFEATURES_CATALOG": f"{databases}/catalog",
            "IMAGEFEATURES_DATASETS": str(root / "datasets"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"{databases}/airflow",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"{databases}/airflow",
            "_SPARK_AUTH_SECRET": SPARK_SECRET,
            "SPARK_SUBMIT_OPTS": f"{spark_options()} {_options(SECRECY | NO_SECRET | EVENT_LOG)} "
            f"-Dspark.eventLog.dir={(root / 'events').as_uri()}",
        }
        patch = running.enter_context(pytest.MonkeyPatch.context())
        for name, value in env.items():
            patch.setenv(name, value)
        master = running.enter_context(spark_cluster(root / "work", WORKERS))  # its executors inherit AWS_*
        host, _, port = master.rpartition(":")
        connection = {"conn_type": "spark", "host": host, "port": int(port)}
        patch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
        _fill_bucket(f"{source}/{DAY}", day[0])
        yield Stack(root / "airflow", root / "work", root / "events", Settings.from_env(), f"{databases}/airflow")


@pytest.fixture(scope="session")
def api(stack: Stack) -> Iterator[Api]:
    with airflow(stack.home) as running:
        yield running


@pytest.fixture(scope="session")
def published(api: Api, stack: Stack) -> dict[str, Any]:
    """The day, backfilled to the end: Airflow's DAG run, and `seen`, the secrets seen on command lines meanwhile."""
    dag = "features_fruit"
    until(lambda: api.get(f"/api/v2/dags?dag_id_pattern={dag}")["dags"])
    api.patch(f"/api/v2/dags/{dag}", {"is_paused": False})
    bounds = {"from_date": f"{DAY}T00:00:00Z", "to_date": f"{DAY}T00:00:00Z"}

    def runs() -> list[dict[str, Any]]:
        return api.get(f"/api/v2/dags/{dag}/dagRuns")["dag_runs"]

    with watched_command_lines() as seen:
        api.post("/api/v2/backfills", {"dag_id": dag, "dag_run_conf": {}, "max_active_runs": 1, **bounds})
        until(lambda: runs() and runs()[0]["state"] in ("success", "failed"))
    run = runs()[0]
    return run | {"tasks": api.tasks(dag, run["dag_run_id"]), "seen": seen}


def _options(settings: dict[str, str]) -> str:
    return " ".join(f"-D{name}={value}" for name, value in settings.items())


def _fill_bucket(prefix: str, folder: Path) -> None:
    import boto3

    boto3.client("s3").create_bucket(Bucket=BUCKET)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            storage.write(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
