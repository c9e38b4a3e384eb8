"""Two models with augmented copies through real Spark jobs, and a third model that is added to three days later."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import read
from imagefeatures.dataset_files import find_dataset
from imagefeatures.local import run_partition
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.step_runner import prepare_model
from imagefeatures.steps.register import register
from support import copies
from support.photos import encoded, fill, picture
from support.seeded_keras import check_vector, keras_model
from support.spark_jobs import submit

NAME, ADDED_TO, SIDE = "birds", "flock", 40
MODELS = {"first": 1, "second": 2, "third": 3}
"""Each with the seed of its weights. OpenVINO's form of a model needs no TensorFlow in the jobs."""

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
        keras_model(3, SIDE, SIDE, seed).export(str(root / f"{name}.xml"), format="openvino", verbose=False)
    declare(root, NAME, "first", "second")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEFEATURES_LAKE", f"file://{root}/lake")
        patch.setenv("IMAGEFEATURES_DATASETS", str(root / "datasets"))
        patch.delenv("IMAGEFEATURES_CATALOG", raising=False)
        yield root


def declare(root: Path, dataset: str, *models: str) -> None:
    fields = {
        "name": dataset,
        "source": f"file://{root}/photos/{{partition}}/",
        "models": [{"name": name, "uri": f"file://{root}/{name}.xml", "normalize": "tf"} for name in models],
        "preprocess": [{"augment": AUGMENT}, {"resize": {"size": [SIDE, SIDE]}}],
    }
    (root / "datasets" / f"{dataset}.yaml").write_text(json.dumps(fields))


def check_table(table: str, model: str, days: Sequence[str]) -> dict[tuple[str, int], list[float]]:
    """The vectors of a table against those of Keras, for pixels that plain Pillow makes."""
    keras = keras_model(3, SIDE, SIDE, MODELS[model])
    rows = read.table(Settings.from_env(), table).to_pylist()
    assert len(rows) == 2 * sum(len(PHOTOS[day]) for day in days)
    for row in rows:
        data = PHOTOS[row["partition_key"]][Path(row["uri"]).name]
        given = copies.expected(data, AUGMENT, row["copy"], SIDE).astype(np.float32) / np.float32(127.5) - 1
        check_vector(np.array(row["features"], np.float32), keras(given[None]).numpy()[0])
    return {(row["uri"], row["copy"]): row["features"] for row in rows}


def test_two_models_with_copies_go_through_real_spark_jobs(root: Path) -> None:
    dataset, settings = find_dataset(root / "datasets", NAME), Settings.from_env()
    run = load_run(plan_run(dataset, RunParams(shard_images=6), DAYS[0], settings))
    assert run.shard_images == 3
    prepare_model(run, settings)
    submit(run, root / "spark")
    row = register(run.layout.run_file, settings).row
    assert [row[name] for name in ("listed", "registered", "reused", "copies")] == [6, 6, 0, 1]
    assert dict(row["models_reused"]) == {"second": 0}
    check_table(NAME, "first", DAYS[:1])
    check_table(f"{NAME}__second", "second", DAYS[:1])


def test_a_third_model_is_added_to_three_days_and_computed_alone(root: Path) -> None:
    """By the real engines, in this process."""
    before = {}
    for models in (("first", "second"), (*MODELS,)):
        declare(root, ADDED_TO, *models)
        dataset, settings = find_dataset(root / "datasets", ADDED_TO), Settings.from_env()
        rows = [run_partition(dataset, RunParams(), settings, day).outcome.row for day in DAYS]
        assert [(row["registered"], row["copies"]) for row in rows] == [(6, 1)] * 3
        tables = [ADDED_TO, *(f"{ADDED_TO}__{model}" for model in models[1:])]
        found = {model: check_table(table, model, DAYS) for table, model in zip(tables, models, strict=True)}
        assert all(found[model] == before[model] for model in before)
        if before:
            assert [row["reused"] for row in rows] == [6] * 3
            assert [dict(row["models_reused"]) for row in rows] == [{"second": 6, "third": 0}] * 3
        before = found
