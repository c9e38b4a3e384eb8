"""Every kind of source through a real scheduler and real Spark jobs: backfilled, triggered, reused, out of budget."""

from __future__ import annotations

import html
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from deploy.local.api import Api
from imagefeatures import read
from support.airflow_session import ended, trigger
from support.catalog_doors import EVERY_DOOR
from support.days_of_doors import DAYS, IN_FOLDERS, IN_MINIO, WEB, Stack, check_partition, place_of
from support.shared import until

BY_HAND = (*IN_FOLDERS, WEB)
Runs = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def backfilled(api: Api) -> dict[str, Runs]:
    """Dataset and partition to Airflow's DAG run, for three partitions of each dataset in MinIO."""
    for name in IN_MINIO:
        bounds = {"from_date": f"{DAYS[0]}T00:00:00Z", "to_date": f"{DAYS[-1]}T00:00:00Z"}
        wanted = {"dag_id": f"features_{name}", "dag_run_conf": {"shard_images": 4}, "max_active_runs": 1}
        api.post("/api/v2/backfills", wanted | bounds)

    def runs(name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = api.get(f"/api/v2/dags/features_{name}/dagRuns?run_type=backfill")["dag_runs"]
        return found

    def over(name: str) -> bool:
        return [run["state"] in ("success", "failed") for run in runs(name)] == [True] * len(DAYS)

    until(lambda: all(map(over, IN_MINIO)), timeout_seconds=1500)
    return {name: {run["partition_key"]: run for run in runs(name)} for name in IN_MINIO}


@pytest.fixture(scope="session")
def by_hand(api: Api, backfilled: dict[str, Runs]) -> Runs:
    """Dataset to Airflow's DAG run, of a partition that the form names: those of folders and of the web."""
    triggered = {name: trigger(api, name, partition=DAYS[0], shard_images=4) for name in BY_HAND}
    return {name: ended(api, run) for name, run in triggered.items()}


def test_every_door_has_a_dataset() -> None:
    assert {*IN_MINIO.values(), *IN_FOLDERS.values()} == set(EVERY_DOOR)


@pytest.mark.parametrize("name", (*IN_MINIO, *BY_HAND))
def test_the_dag_says_where_its_source_lies_and_its_form_begins_with_yesterday(
    name: str, api: Api, stack: Stack
) -> None:
    details = api.get(f"/api/v2/dags/features_{name}/details")
    source = stack.doors[name][DAYS[0]].source
    assert details["description"] == f"{place_of(source)} to features.{name}"
    assert details["params"]["partition"]["value"] == "yesterday"


@pytest.mark.parametrize("name", IN_MINIO)
def test_three_partitions_are_backfilled_and_each_has_its_own_objects(
    name: str, backfilled: dict[str, Runs], stack: Stack
) -> None:
    assert {day: run["state"] for day, run in backfilled[name].items()} == dict.fromkeys(DAYS, "success")
    for day in DAYS:
        check_partition(stack.doors[name][day], stack.settings, name, day)


@pytest.mark.parametrize("name", BY_HAND)
def test_a_partition_that_the_form_names_is_run(name: str, by_hand: Runs, api: Api, stack: Stack) -> None:
    run = by_hand[name]
    assert run["state"] == "success", api.tasks(run["dag_id"], run["dag_run_id"])
    check_partition(stack.doors[name][DAYS[0]], stack.settings, name, DAYS[0])


def test_no_budget_is_left_and_what_was_published_stays(backfilled: dict[str, Runs], api: Api, stack: Stack) -> None:
    before = {name: _run_ids(stack, name) for name in IN_MINIO}
    triggered = {name: trigger(api, name, partition=DAYS[1], max_rejected=0.01) for name in IN_MINIO}
    for name, run in triggered.items():
        states = _states(api, ended(api, run))
        assert (states["ingest"], states["validate"], states["resize"]) == ("success", "failed", "upstream_failed"), (
            name
        )
        assert _run_ids(stack, name) == before[name]


def test_a_second_run_reuses_every_vector(backfilled: dict[str, Runs], api: Api, stack: Stack) -> None:
    triggered = {name: trigger(api, name, partition=DAYS[2], shard_images=4) for name in IN_MINIO}
    for name, run in triggered.items():
        assert ended(api, run)["state"] == "success", name
        door = stack.doors[name][DAYS[2]]
        counts = check_partition(door, stack.settings, name, DAYS[2])
        assert counts["reused"] == len(door.good)


@pytest.mark.parametrize("name", (*IN_MINIO, *BY_HAND))
def test_the_page_shows_the_source_and_what_became_of_it(
    name: str, backfilled: dict[str, Runs], by_hand: Runs, api: Api, stack: Stack
) -> None:
    door = stack.doors[name][DAYS[0]]
    text = html.unescape(page(api, f"/datasets/{name}"))
    assert f"<code>{place_of(door.source)}</code>" in text
    partition = page(api, f"/datasets/{name}/partitions/{DAYS[0]}")
    assert all(f"{reason}" in partition for reason in door.rejected.values())
    rows = page(api, f"/datasets/{name}/partitions/{DAYS[0]}/rejected.csv")
    assert all(uri in rows and reason in rows for uri, reason in door.rejected.items())


def page(api: Api, path: str) -> str:
    api.get("/api/v2/dags?limit=1")  # logs in
    request = Request(f"{api.address}/image-features{path}", headers={"Authorization": f"Bearer {api._token}"})
    with urlopen(request, timeout=60) as answer:
        text: str = answer.read().decode()
    return text


def _states(api: Api, run: dict[str, Any]) -> dict[str, str]:
    assert run["state"] == "failed", quote(run["dag_run_id"])
    return {task["task_id"]: task["state"] for task in api.tasks(run["dag_id"], run["dag_run_id"])}


def _run_ids(stack: Stack, name: str) -> dict[str, str]:
    return {row["partition_key"]: row["run_id"] for row in read.runs(stack.settings, name)}
