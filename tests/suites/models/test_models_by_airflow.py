"""Several models through a real scheduler and real Spark jobs, and a third that is added to three days later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.local.api import Api
from deploy.local.services import airflow
from imagefeatures import read
from imagefeatures.settings import Settings
from support import copies
from support.airflow_session import ended, trigger
from support.photos import encoded, fill, picture
from support.seeded_keras import check_vector, keras_model
from support.shared import until

NAME, SIDE = "birds", 40
MODELS = {"first": 1, "second": 2, "third": 3}
"""Each with the seed of its weights."""

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
AUGMENT = {"copies": 1, "seed": 4, "crop": 0.6, "flip": "horizontal", "contrast": 0.3}
PHOTOS = {
    day: {f"{at}.png": encoded(picture(50 + at, 70, 10 * number + at), "PNG") for at in range(6)}
    for number, day in enumerate(DAYS)
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("models")
    for day, photos in PHOTOS.items():
        fill(root / "photos" / day, photos)
    (root / "datasets").mkdir()
    for name, seed in MODELS.items():
        keras_model(3, SIDE, SIDE, seed).save(root / f"{name}.keras")
    declare(root, "first", "second")
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


def declare(root: Path, *models: str) -> None:
    fields = {
        "name": NAME,
        "source": f"file://{root}/photos/{{partition}}/",
        "models": [{"name": name, "uri": f"file://{root}/{name}.keras", "normalize": "tf"} for name in models],
        "preprocess": [{"augment": AUGMENT}, {"resize": {"size": [SIDE, SIDE]}}],
    }
    (root / "datasets" / f"{NAME}.yaml").write_text(json.dumps(fields))


def run_days(api: Api) -> dict[str, dict[str, Any]]:
    """A run of each day, to its end. Returns the rows of features.runs."""
    for run in [trigger(api, NAME, partition=day, shard_images=6) for day in DAYS]:
        assert ended(api, run, 1_800)["state"] == "success", api.tasks(run["dag_id"], run["dag_run_id"])
    return {row["partition_key"]: row for row in read.runs(Settings.from_env(), NAME)}


def check_table(table: str, model: str) -> dict[tuple[str, int], list[float]]:
    """The vectors of a table against those of Keras, for pixels that plain Pillow makes."""
    keras = keras_model(3, SIDE, SIDE, MODELS[model])
    rows = read.table(Settings.from_env(), table).to_pylist()
    assert len(rows) == 2 * sum(map(len, PHOTOS.values()))
    for row in rows:
        data = PHOTOS[row["partition_key"]][Path(row["uri"]).name]
        given = copies.expected(data, AUGMENT, row["copy"], SIDE).astype(np.float32) / np.float32(127.5) - 1
        check_vector(np.array(row["features"], np.float32), keras(given[None]).numpy()[0])
    return {(row["uri"], row["copy"]): row["features"] for row in rows}


def test_a_third_model_is_added_to_three_days_of_two_and_computed_alone(api: Api, root: Path) -> None:
    for row in run_days(api).values():
        assert [row[name] for name in ("registered", "reused", "copies")] == [6, 0, 1]
        assert dict(row["models_reused"]) == {"second": 0}
    before = {"first": check_table(NAME, "first"), "second": check_table(f"{NAME}__second", "second")}
    declare(root, *MODELS)
    asset = f"features.{NAME}__third"
    until(lambda: asset in json.dumps(api.get("/api/v2/assets?limit=100")))
    for row in run_days(api).values():
        assert [row[name] for name in ("registered", "reused", "copies")] == [6, 6, 1]
        assert dict(row["models_reused"]) == {"second": 6, "third": 0}
    assert check_table(NAME, "first") == before["first"]
    assert check_table(f"{NAME}__second", "second") == before["second"]
    check_table(f"{NAME}__third", "third")
