"""Several models through a real scheduler and real Spark jobs, and a third that is added to three days later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.api import Api
from deploy.local.services import airflow
from imagefeatures import read
from imagefeatures.settings import Settings
from support.airflow_session import ended, trigger
from support.days_of_copies import DAYS, MODELS, SIDE, check_table, declare, lay_out
from support.seeded_keras import keras_model
from support.shared import until

NAME = "birds"
FILES = [f"{name}.keras" for name in MODELS]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("models")
    lay_out(root)
    for name, seed in MODELS.items():
        keras_model(3, SIDE, SIDE, seed).save(root / f"{name}.keras")
    declare(root, NAME, FILES[:2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEFEATURES_LAKE", f"file://{root}/lake")
        patch.setenv("IMAGEFEATURES_DATASETS", str(root / "datasets"))
        patch.delenv("IMAGEFEATURES_CATALOG", raising=False)
        yield root


@pytest.fixture(scope="module")
def api(root: Path) -> Iterator[Api]:
    with airflow(root / "airflow") as running:
        until(lambda: f"features_{NAME}" in {dag["dag_id"] for dag in running.get("/api/v2/dags")["dags"]})
        running.patch(f"/api/v2/dags/features_{NAME}", {"is_paused": False})
        yield running


def run_days(api: Api) -> dict[str, dict[str, Any]]:
    """A run of each day, to its end. Returns the rows of features.runs."""
    for run in [trigger(api, NAME, partition=day, shard_images=6) for day in DAYS]:
        assert ended(api, run, 1_800)["state"] == "success", api.tasks(run["dag_id"], run["dag_run_id"])
    return {row["partition_key"]: row for row in read.runs(Settings.from_env(), NAME)}


def test_a_third_model_is_added_to_three_days_of_two_and_computed_alone(api: Api, root: Path) -> None:
    for row in run_days(api).values():
        assert [row[name] for name in ("registered", "reused", "copies")] == [6, 0, 1]
        assert dict(row["models_reused"]) == {"second": 0}
    before = {"first": check_table(NAME, "first"), "second": check_table(f"{NAME}__second", "second")}
    declare(root, NAME, FILES)
    asset = f"features.{NAME}__third"
    until(lambda: asset in json.dumps(api.get("/api/v2/assets?limit=100")))
    for row in run_days(api).values():
        assert [row[name] for name in ("registered", "reused", "copies")] == [6, 6, 1]
        assert dict(row["models_reused"]) == {"second": 6, "third": 0}
    assert check_table(NAME, "first") == before["first"]
    assert check_table(f"{NAME}__second", "second") == before["second"]
    check_table(f"{NAME}__third", "third")
