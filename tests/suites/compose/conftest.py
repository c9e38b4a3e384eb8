"""The deployment that all tests share; and the figures of the run, under pytest's own last lines."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote

import boto3
import pytest

from demo import photos
from deploy.local.api import Api
from imagefeatures.names import dag_id
from support.containers import Stack, figures

DAG = dag_id(photos.DATASET)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The deployment, up. At the end it is removed, volumes and all."""
    made = Stack.described_in(tmp_path_factory.mktemp("compose"))
    everything = ("--profile", "*", "down", "--volumes", "--remove-orphans")
    made.compose(*everything)
    try:
        took = time.monotonic()
        made.compose("build")
        figures.append(f"image: {image_bytes(made) / 1e9:.2f} GB, built in {time.monotonic() - took:.0f} s")
        took = time.monotonic()
        made.compose("up", "--detach", "--wait")
        figures.append(f"up and healthy in {time.monotonic() - took:.0f} s")
        yield made
    finally:
        made.compose(*everything)


@pytest.fixture(scope="session")
def command_lines(stack: Stack) -> Iterator[set[str]]:
    """Every command line of every container, looked at every two seconds."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(2):
            with contextlib.suppress(subprocess.CalledProcessError):  # a container that ends meanwhile
                seen.update(stack.output("top").decode().splitlines())

    watcher = threading.Thread(target=look)
    watcher.start()
    yield seen
    over.set()
    watcher.join()


@pytest.fixture(scope="session")
def demo(stack: Stack, command_lines: set[str]) -> str:
    """What `make demo-compose` printed; it ends with an error when a number does not add up."""
    done = stack.compose("run", "--rm", "--no-deps", "-T", "demo", check=False, stdout=subprocess.PIPE, text=True)
    figures.extend(done.stdout.splitlines())
    assert done.returncode == 0
    return done.stdout


@pytest.fixture(scope="session")
def api(stack: Stack) -> Api:
    address = f"http://127.0.0.1:{stack.variables['AIRFLOW_PORT']}"
    return Api(address, lambda: stack.secrets["AIRFLOW_ADMIN_PASSWORD"])


@pytest.fixture(scope="session")
def refused(api: Api, demo: str) -> str:
    """URI of the run.json of a run that its failure budget stopped: its staging folder stays, to be looked at."""
    conf = {"partition": photos.PARTITIONS[0], "max_rejected": 0}
    run = api.post(f"/api/v2/dags/{DAG}/dagRuns", {"logical_date": None, "conf": conf})
    path = f"/api/v2/dags/{DAG}/dagRuns/{quote(run['dag_run_id'], safe='')}"
    deadline = time.monotonic() + 600
    while (state := api.get(path)["state"]) not in ("success", "failed"):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert state == "failed"
    assert {task["task_id"] for task in api.tasks(DAG, run["dag_run_id"]) if task["state"] == "failed"} == {"validate"}
    return api.get(f"{path}/taskInstances/plan/xcomEntries/return_value")["value"]


@pytest.fixture(scope="session")
def lake(stack: Stack, refused: str) -> dict[str, bytes]:
    """Every object of the lake, read from the host. It holds the refused run's run.json."""
    store = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{stack.variables['OBJECT_STORE_PORT']}",
        aws_access_key_id=stack.variables["OBJECT_STORE_ACCESS_KEY"],
        aws_secret_access_key=stack.secrets["OBJECT_STORE_SECRET_KEY"],
        region_name="us-east-1",
    )
    bucket = stack.variables["BUCKET"]
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="lake/")
    keys = [found["Key"] for page in pages for found in page["Contents"]]
    found = {f"s3://{bucket}/{key}": store.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
    assert refused in found
    return found


@pytest.fixture(scope="session")
def events(stack: Stack, demo: str) -> list[dict[str, object]]:
    """Spark's event logs of all jobs, line by line."""
    text = stack.inside("airflow-scheduler", "bash", "-c", "cat /opt/airflow/logs/app-*")
    return [json.loads(line) for line in text.splitlines()]


def image_bytes(stack: Stack) -> int:
    image = stack.variables.get("IMAGE", "image-features")
    done = subprocess.run(["docker", "image", "inspect", image], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)[0]["Size"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("figures")
    for line in figures:
        terminalreporter.write_line(line)
