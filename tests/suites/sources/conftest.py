"""One Airflow, one MinIO and one web host for every kind of source; Spark works on this machine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from deploy.local.api import Api
from deploy.local.services import airflow
from imagefeatures import storage
from imagefeatures.settings import Settings
from support.days_of_doors import DAYS, IN_FOLDERS, IN_MINIO, WEB, Stack, doors_of_days, table_of_the_web
from support.hostile_http import site
from support.servers import minio
from support.shared import AWS, BUCKET, until


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Sources and dataset files of every kind, set in the environment while the deployment lasts."""
    root = tmp_path_factory.mktemp("sources")
    for name in ("store", "datasets", "lake"):
        (root / name).mkdir()
    with contextlib.ExitStack() as running:
        store = running.enter_context(minio(root / "store"))
        host = running.enter_context(site("127.0.0.1"))
        patch = running.enter_context(pytest.MonkeyPatch.context())
        for name, value in {
            **AWS,
            "AWS_ENDPOINT_URL": store.address,
            "IMAGEFEATURES_LAKE": f"file://{root}/lake",
            "IMAGEFEATURES_DATASETS": str(root / "datasets"),
            "IMAGEFEATURES_HTTP_ALLOW": "127.0.0.1/32",
        }.items():
            patch.setenv(name, value)
        patch.delenv("IMAGEFEATURES_CATALOG", raising=False)
        storage._store.cache_clear()
        _make_bucket()
        doors = {name: doors_of_days(of, f"s3://{BUCKET}/{name}") for name, of in IN_MINIO.items()}
        for name, of in IN_FOLDERS.items():
            doors[name] = doors_of_days(of, f"file://{root}/{name}", DAYS[:1])
        doors[WEB] = {DAYS[0]: table_of_the_web(host, f"file://{root}/{WEB}")}
        for name, of_days in doors.items():
            text = json.dumps({"name": name, "source": of_days[DAYS[0]].source, "limits": {"max_rejected": 0.5}})
            (root / "datasets" / f"{name}.yaml").write_text(text)
        yield Stack(root / "airflow", Settings.from_env(), doors)
    storage._store.cache_clear()


@pytest.fixture(scope="session")
def api(stack: Stack) -> Iterator[Api]:
    """The running Airflow, with the DAG of every dataset present and unpaused."""
    with airflow(stack.home) as running:
        wanted = {f"features_{name}" for name in stack.doors}
        until(lambda: wanted <= {dag["dag_id"] for dag in running.get("/api/v2/dags")["dags"]})
        for dag_id in wanted:
            running.patch(f"/api/v2/dags/{dag_id}", {"is_paused": False})
        yield running


def _make_bucket() -> None:
    import boto3

    boto3.client("s3").create_bucket(Bucket=BUCKET)
