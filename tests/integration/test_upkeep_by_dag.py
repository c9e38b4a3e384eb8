"""The DAGs `unpublish_<dataset>`, `forget` and `upkeep` by a real scheduler: what their forms ask for is done."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from demo import photos
from deploy.local.api import Api, ApiError
from imagefeatures import read
from imagefeatures.dataset_files import find_dataset
from support.airflow_session import DAYS, Deployment, ended
from support.photos import fill, jpeg
from support.redriving import Partition
from support.shared import until

pytestmark = pytest.mark.long  # six runs of DAGs

Layout = tuple[Path, list[photos.Day]]

NAME, PICTURES, FIRST = "taken", 5, 700
FORGOTTEN = jpeg(FIRST)
"""The first picture of the first day. No other dataset of the session has it."""


@pytest.fixture(scope="module")
def partitions(deployment: Deployment, layout: Layout) -> list[Partition]:
    """Two days of five pictures and an empty object, published without Spark."""
    for number, day in enumerate(DAYS):
        good = {f"{day}/{at}.jpg": jpeg(FIRST + 10 * number + at) for at in range(PICTURES)}
        fill(layout[0] / NAME, good | {f"{day}/empty.jpg": b""})
    dataset = find_dataset(deployment.settings.datasets, NAME)
    made = [Partition(dataset, deployment.settings, day) for day in DAYS]
    for partition in made:
        partition.publish()
    return made


def run(api: Api, dag: str, **conf: Any) -> str:
    """Trigger a DAG by its form, and wait for its success. Returns the id of its run."""
    api.patch(f"/api/v2/dags/{dag}", {"is_paused": False})
    begun = ended(api, api.post(f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf}))
    assert begun["state"] == "success", api.tasks(dag, begun["dag_run_id"])
    return str(begun["dag_run_id"])


def about(api: Api, dag: str, run_id: str, task: str, what: str) -> Any:
    return api.get(f"/api/v2/dags/{dag}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task}/{what}")


def returned(api: Api, dag: str, run_id: str, task: str) -> Any:
    return about(api, dag, run_id, task, "xcomEntries/return_value")["value"]


def log(api: Api, dag: str, run_id: str, task: str) -> str:
    return str(about(api, dag, run_id, task, "logs/1?full_content=true"))


def published(deployment: Deployment) -> dict[str, int]:
    return {row["partition_key"]: row["registered"] for row in read.runs(deployment.settings, NAME)}


def test_a_partition_is_taken_back_by_the_form_and_by_nothing_less(
    api: Api, deployment: Deployment, partitions: list[Partition]
) -> None:
    dag, (kept, wrong) = f"unpublish_{NAME}", partitions
    with pytest.raises(ApiError) as refused:
        api.post(f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": {"partition": wrong.key}})
    assert "why" in str(refused.value)
    before = kept.features, kept.quarantine
    dry = returned(api, dag, run(api, dag, partition=wrong.key, why="a wrong camera"), "withdraw")
    assert [line.partition(":")[0] for line in dry] == ["would be taken back"]
    assert published(deployment) == dict.fromkeys(DAYS, PICTURES)
    done = run(api, dag, partition=wrong.key, why="a wrong camera", dry_run=False)
    (line,) = returned(api, dag, done, "withdraw")
    assert line.startswith(f"taken back: features.{NAME} {wrong.key}, run ")
    assert line.endswith("5 registered and 1 quarantined rows; 0 registered rows stay")
    assert published(deployment) == {kept.key: PICTURES}
    assert (kept.features, kept.quarantine) == before
    assert (wrong.features, wrong.quarantine) == ({}, {})
    (row,) = (row for row in read.table(deployment.settings, "withdrawals").to_pylist() if row["dataset"] == NAME)
    assert (row["asked_by"], row["why"]) == ("admin", "a wrong camera")


def test_a_picture_is_forgotten_by_the_form_and_xcom_is_told_nothing(
    api: Api, deployment: Deployment, partitions: list[Partition]
) -> None:
    image_id, lake = hashlib.sha256(FORGOTTEN).hexdigest(), Path(deployment.settings.lake.removeprefix("file://"))
    kept = partitions[0]
    before = {uri: row for uri, row in kept.features.items() if row["image_id"] != image_id}
    assert len(before) == PICTURES - 1
    dry = run(api, "forget", image_ids=[image_id], why="request 118")
    assert "would be forgotten, request " in log(api, "forget", dry, "remove")
    assert len(kept.features) == PICTURES
    done = run(api, "forget", image_ids=[image_id], why="request 118", dry_run=False)
    told = log(api, "forget", done, "remove")
    assert f"features.{NAME}" in told
    assert f"delete the DAG run {done} when you need its log no more" in told
    with pytest.raises(ApiError) as nothing:
        returned(api, "forget", done, "remove")
    assert nothing.value.status == 404
    assert kept.features == before
    assert published(deployment)[kept.key] == PICTURES - 1
    (row,) = read.table(deployment.settings, "forgotten").to_pylist()
    assert (row["asked_by"], row["why"], len(row["hashes"]), row["rows"]) == ("admin", "request 118", 1, 1)
    assert not [path for path in lake.rglob("*") if path.is_file() and image_id.encode() in path.read_bytes()]


def test_what_grows_old_is_removed_by_the_form_and_counted_for_the_page(api: Api, deployment: Deployment) -> None:
    lake = Path(deployment.settings.lake.removeprefix("file://"))
    folder = lake / "warehouse" / "features" / NAME / "data" / f"partition_key={DAYS[0]}"
    stray, young = (folder / f"20261001T000000-0a1b2c3d-shard-00000-{end}.parquet" for end in ("0a1b2c3d", "1a1b2c3d"))
    run(api, "upkeep")  # with the first one: switched on, it makes up for the last Sunday at once
    until(lambda: not api.get("/api/v2/dags/upkeep/dagRuns?state=running&state=queued")["dag_runs"])
    for file, days in ((stray, 8), (young, 6)):
        file.write_bytes(b"abc")
        os.utime(file, (time.time() - days * 86_400,) * 2)
    dry = run(api, "upkeep")
    assert returned(api, "upkeep", dry, "look") == returned(api, "upkeep", dry, "remove")
    assert returned(api, "upkeep", dry, "look")["files of no snapshot"] == {"count": 1, "bytes": 3}
    assert "would be removed: 0.0 MB" in log(api, "upkeep", dry, "remove")
    assert stray.exists()
    done = run(api, "upkeep", dry_run=False)
    assert returned(api, "upkeep", done, "remove")["files of no snapshot"] == {"count": 1, "bytes": 3}
    assert (stray.exists(), young.exists()) == (False, True)
    after = returned(api, "upkeep", run(api, "upkeep"), "look")
    assert after["files of no snapshot"] == {"count": 0, "bytes": 0}
    assert published(deployment) == {DAYS[0]: PICTURES - 1}
