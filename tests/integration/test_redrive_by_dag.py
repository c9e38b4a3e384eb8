"""The DAG `redrive_<dataset>`, from a trigger to the published tables: two partitions at once, and none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from demo import photos
from deploy.local.api import Api, ApiError
from imagefeatures import storage
from imagefeatures.dataset_files import find_dataset
from support.airflow_session import DAYS, Deployment, ended
from support.photos import fill, jpeg
from support.redriving import Partition, without_run

pytestmark = pytest.mark.long  # a dozen Spark jobs

GOOD, BAD = 4, 3
Layout = tuple[Path, list[photos.Day]]


def trigger(api: Api, **conf: Any) -> dict[str, Any]:
    return api.post("/api/v2/dags/redrive_mended/dagRuns", {"logical_date": None, "conf": conf})


def test_mended_objects_of_two_partitions_are_merged_by_one_run_of_the_dag(
    api: Api, deployment: Deployment, layout: Layout
) -> None:
    folder = layout[0] / "mended"
    for day in DAYS:
        good = {f"{day}/red/{at}.jpg": jpeg(at) for at in range(GOOD)}
        fill(folder, good | {f"{day}/red/bad{at}.jpg": b"" for at in range(BAD)})
    dataset = find_dataset(deployment.settings.datasets, "mended")
    partitions = [Partition(dataset, deployment.settings, day) for day in DAYS]
    for partition in partitions:
        partition.publish()
    before = [without_run(partition.features) for partition in partitions]
    for day in DAYS:
        fill(folder, {f"{day}/red/bad{at}.jpg": jpeg(50 + at + 10 * int(day[-2:])) for at in range(BAD - 1)})
        fill(folder, {f"{day}/red/bad{BAD - 1}.jpg": b"no image"})
    api.patch("/api/v2/dags/redrive_mended", {"is_paused": False})
    with pytest.raises(ApiError) as refused:
        trigger(api, reason="TRUNCATD")
    assert "Invalid input for param reason: " in str(refused.value)
    run = ended(api, trigger(api, reason="EMPTY_OBJECT", since="2026-01-01"))
    assert run["state"] == "success"
    for partition, features in zip(partitions, before, strict=True):
        partition.check()
        after = without_run(partition.features)
        assert (len(after), partition.run["redriven"]) == (GOOD + BAD - 1, BAD)
        assert {uri: row for uri, row in after.items() if uri in features} == features
        (left,) = partition.quarantine.values()
        assert left["reason"] == "UNSUPPORTED_FORMAT"
    events = api.get("/api/v2/assets/events?limit=100")["asset_events"]
    told = [event["extra"] for event in events if event["extra"].get("dataset") == "mended"]
    assert sorted(extra["partition_key"] for extra in told) == list(DAYS)
    assert {extra["redriven"] for extra in told} == {BAD}
    held = [partition.run for partition in partitions]
    nothing = ended(api, trigger(api, reason="EMPTY_OBJECT", partition=DAYS[0]))
    assert nothing["state"] == "success"
    assert [partition.run for partition in partitions] == held
    lake = deployment.settings.lake
    assert not [found.uri for found in storage.list_objects(f"{lake}/staging/mended")]
