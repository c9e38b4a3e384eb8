"""`make up` stopped and started again in the middle of a run: the run goes on, and it has as many tries as before."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from deploy.local.claim import free_port
from imagefeatures import read
from imagefeatures.settings import Settings
from support.make_up import SECONDS, Up
from support.photos import jpeg
from support.shared import until

DAY = "2026-11-02"
PHOTOS = 60
RETRIES = 2
DAG = "features_photos"


@dataclass
class Place:
    """A folder with photos, a dataset file, a lake and Airflow's folder. up: the `make up` that runs last."""

    root: Path
    port: int
    up: Up | None = None

    @property
    def variables(self) -> dict[str, str]:
        return {"IMAGEFEATURES_LAKE": f"file://{self.root}/lake", "IMAGEFEATURES_DATASETS": str(self.root / "datasets")}

    @property
    def running(self) -> Up:
        assert self.up
        return self.up

    def start(self) -> None:
        self.up = Up.start(self.root / "home" / ".airflow", self.port, **self.variables).wait_until_up()

    def tasks(self, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {task["task_id"]: task for task in self.running.api.tasks(DAG, run["dag_run_id"])}

    def state(self, run: dict[str, Any]) -> str:
        path = f"/api/v2/dags/{DAG}/dagRuns/{quote(run['dag_run_id'], safe='')}"
        state: str = self.running.api.get(path)["state"]
        return state

    def begin(self) -> dict[str, Any]:
        api = self.running.api
        until(lambda: any(dag["dag_id"] == DAG for dag in api.get("/api/v2/dags")["dags"]), SECONDS)
        api.patch(f"/api/v2/dags/{DAG}", {"is_paused": False})
        # One photo a shard: a step lasts long enough to be hit.
        conf = {"partition": DAY, "shard_images": 1, "reuse": False}
        run: dict[str, Any] = api.post(f"/api/v2/dags/{DAG}/dagRuns", {"logical_date": None, "conf": conf})
        return run

    def wait_for(self, run: dict[str, Any], task: str) -> None:
        """Wait until the task runs: also its own process, which for a Spark step has started a JVM."""
        until(lambda: self.tasks(run)[task]["state"] in ("running", "success", "failed"), SECONDS)
        assert self.tasks(run)[task]["state"] == "running", self.tasks(run)
        if task != "plan":
            until(lambda: any("java" in name for name in self.names_below()), SECONDS)

    def below(self) -> list[psutil.Process]:
        return psutil.Process(self.running.process.pid).children(recursive=True)

    def names_below(self) -> list[str]:
        names = []
        for process in self.below():
            try:
                names.append(process.name())
            except psutil.Error:
                continue
        return names


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    for number in range(PHOTOS):
        file = tmp_path / "photos" / DAY / ("robin", "wren")[number % 2] / f"{number:02d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(number))
    (tmp_path / "datasets").mkdir()
    text = f"name: photos\nsource: file://{tmp_path}/photos/{{partition}}/\n"
    (tmp_path / "datasets" / "photos.yaml").write_text(text)
    found = Place(tmp_path, free_port())
    yield found
    if found.up:
        found.up.stop()


def published(place: Place) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.variables.items():
            patch.setenv(name, value)
        patch.delenv("IMAGEFEATURES_CATALOG", raising=False)
        settings = Settings.from_env()
    (row,) = read.runs(settings, "photos")
    uris = read.table(settings, "photos", columns=("uri",))["uri"].to_pylist()
    assert len(uris) == len(set(uris)) == PHOTOS
    return row


@pytest.mark.parametrize("end", ["Ctrl-C", "kill -9"])
def test_three_restarts_in_one_run_cost_no_try(place: Place, end: str) -> None:
    place.start()
    run = place.begin()
    for step in ("ingest", "validate", "resize"):
        place.wait_for(run, step)
        below = [process.pid for process in place.below()]
        if end == "Ctrl-C":
            place.running.stop()
            assert "Traceback" not in place.running.said
            assert not [pid for pid in below if psutil.pid_exists(pid)]
        else:
            place.running.process.kill()
            place.running.process.wait()
        place.start()
        assert not [pid for pid in below if psutil.pid_exists(pid)]
        assert place.state(run) == "running"
    succeeds_at_the_first_try(place, run)


def test_a_scheduler_that_is_killed_costs_no_try(place: Place) -> None:
    place.start()
    run = place.begin()
    place.wait_for(run, "ingest")
    scheduler = place.running.services()["scheduler"]
    tasks = {process.pid for process in psutil.Process(scheduler).children(recursive=True)}
    os.kill(scheduler, signal.SIGKILL)
    until(lambda: place.running.services().get("scheduler", scheduler) != scheduler, SECONDS)
    assert not [pid for pid in tasks if psutil.pid_exists(pid)]
    succeeds_at_the_first_try(place, run)


def succeeds_at_the_first_try(place: Place, run: dict[str, Any]) -> None:
    until(lambda: place.state(run) in ("success", "failed"), 600)
    tries = {name: (task["state"], task["try_number"], task["max_tries"]) for name, task in place.tasks(run).items()}
    assert tries == dict.fromkeys(tries, ("success", 1, RETRIES))
    assert published(place)["registered"] == PHOTOS
