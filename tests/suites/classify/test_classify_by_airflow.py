"""A run that is published starts the fit of a classifier; so does the form. A real Airflow, real Spark jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.local.api import Api
from deploy.local.services import airflow
from imagefeatures.learning import promotion, tables
from imagefeatures.learning.places import ClassifierLayout
from imagefeatures.settings import Settings
from support.airflow_session import ended, trigger
from support.photos import encoded
from support.shared import until

DAYS = ("2026-11-02", "2026-11-03")
LABELS = ("blue", "green", "red")
EACH = 20
DAG = "classify_colours"


@dataclass(frozen=True)
class Stack:
    home: Path
    settings: Settings


def lay_out(folder: Path, day: str, seed: int) -> None:
    """Photos of a colour each, with noise, in a folder for each label."""
    random = np.random.default_rng(seed)
    for channel, label in enumerate(reversed(LABELS)):
        place = folder / day / label
        place.mkdir(parents=True)
        for number in range(EACH):
            image = random.integers(0, 90, (48, 64, 3), dtype=np.uint8)
            image[..., channel] += 150
            (place / f"{number}.jpg").write_bytes(encoded(image, quality=90))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    root = tmp_path_factory.mktemp("colours")
    for name in ("datasets", "lake"):
        (root / name).mkdir()
    for seed, day in enumerate(DAYS):
        lay_out(root / "photos", day, seed)
    (root / "datasets" / "colours.yaml").write_text(
        f"name: colours\nsource: file://{root}/photos/{{partition}}/\nclassify: {{components: 50, test_share: 0.3}}\n"
    )
    (root / "datasets" / "plain.yaml").write_text(f"name: plain\nsource: file://{root}/photos/{{partition}}/\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEFEATURES_LAKE", f"file://{root}/lake")
        patch.setenv("IMAGEFEATURES_DATASETS", str(root / "datasets"))
        patch.delenv("IMAGEFEATURES_CATALOG", raising=False)
        yield Stack(root / "airflow", Settings.from_env())


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[Api]:
    with airflow(stack.home) as running:
        wanted = {"features_colours", "features_plain", DAG}
        until(lambda: wanted <= {dag["dag_id"] for dag in running.get("/api/v2/dags")["dags"]})
        for dag_id in wanted:
            running.patch(f"/api/v2/dags/{dag_id}", {"is_paused": False})
        yield running


@pytest.fixture(scope="module")
def by_itself(api: Api) -> dict[str, Any]:
    """The run of DAG that the publication of the first day has started."""
    assert ended(api, trigger(api, "colours", partition=DAYS[0]))["state"] == "success"
    until(lambda: api.get(f"/api/v2/dags/{DAG}/dagRuns")["dag_runs"], timeout_seconds=120)
    (run,) = api.get(f"/api/v2/dags/{DAG}/dagRuns")["dag_runs"]
    return ended(api, run)


def test_only_a_dataset_that_asks_for_it_has_the_dag(api: Api) -> None:
    dags = {dag["dag_id"] for dag in api.get("/api/v2/dags")["dags"]}
    assert DAG in dags and "classify_plain" not in dags


def test_a_run_that_is_published_starts_it(by_itself: dict[str, Any], api: Api, stack: Stack) -> None:
    assert by_itself["state"] == "success", api.tasks(DAG, by_itself["dag_run_id"])
    assert by_itself["run_type"].startswith("asset")
    (row,) = tables.evaluations(stack.settings)
    assert (row["dataset"], row["classifier"], row["labels"]) == ("colours", "logistic_regression", [*LABELS])
    assert row["promoted"] and row["accuracy"] > 0.9
    assert tables.predictions(stack.settings, "colours").num_rows == len(LABELS) * EACH


def test_the_form_begins_with_the_values_of_the_file(api: Api) -> None:
    params = api.get(f"/api/v2/dags/{DAG}/details")["params"]
    values = {name: param["value"] for name, param in params.items()}
    assert values == {"model": "logistic_regression", "components": 50, "split_seed": 0}


def test_triggered_with_nothing_new_it_fits_nothing(by_itself: dict[str, Any], api: Api, stack: Stack) -> None:
    run = ended(api, api.post(f"/api/v2/dags/{DAG}/dagRuns", {"logical_date": None, "conf": {}}))
    states = {task["task_id"]: task["state"] for task in api.tasks(DAG, run["dag_run_id"])}
    assert states == {"plan": "skipped", "classify": "skipped", "publish": "skipped"}
    assert len(tables.evaluations(stack.settings)) == 1


def test_the_form_fits_another_kind(by_itself: dict[str, Any], api: Api, stack: Stack) -> None:
    conf = {"model": "mlp", "split_seed": 5}
    run = ended(api, api.post(f"/api/v2/dags/{DAG}/dagRuns", {"logical_date": None, "conf": conf}))
    assert run["state"] == "success", api.tasks(DAG, run["dag_run_id"])
    newest = tables.evaluations(stack.settings)[0]
    assert (newest["classifier"], newest["compared_with"] is not None) == ("mlp", True)
    promoted = promotion.current(ClassifierLayout(stack.settings.lake, "colours", newest["model_id"]))
    assert promoted and (promoted.model_id == newest["model_id"]) is newest["promoted"]
