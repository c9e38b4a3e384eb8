"""Two models with augmented copies through real Spark jobs, and a third model that is added to three days later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefeatures.dataset_files import find_dataset
from imagefeatures.local import run_partition
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.step_runner import prepare_model
from imagefeatures.steps.register import register
from support.days_of_copies import DAYS, MODELS, SIDE, check_table, declare, lay_out
from support.seeded_keras import keras_model
from support.spark_jobs import submit

NAME, ADDED_TO = "birds", "flock"
FILES = {name: f"{name}.xml" for name in MODELS}
"""OpenVINO's form of a model needs no TensorFlow in the jobs."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("models")
    lay_out(root)
    for name, seed in MODELS.items():
        keras_model(3, SIDE, SIDE, seed).export(str(root / FILES[name]), format="openvino", verbose=False)
    declare(root, NAME, [FILES["first"], FILES["second"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEFEATURES_LAKE", f"file://{root}/lake")
        patch.setenv("IMAGEFEATURES_DATASETS", str(root / "datasets"))
        patch.delenv("IMAGEFEATURES_CATALOG", raising=False)
        yield root


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
        declare(root, ADDED_TO, [FILES[model] for model in models])
        dataset, settings = find_dataset(root / "datasets", ADDED_TO), Settings.from_env()
        rows = [run_partition(dataset, RunParams(), settings, day).outcome.row for day in DAYS]
        assert [(row["registered"], row["copies"]) for row in rows] == [(6, 1)] * 3
        tables = [ADDED_TO, *(f"{ADDED_TO}__{model}" for model in models[1:])]
        found = {model: check_table(table, model) for table, model in zip(tables, models, strict=True)}
        assert all(found[model] == before[model] for model in before)
        if before:
            assert [row["reused"] for row in rows] == [6] * 3
            assert [dict(row["models_reused"]) for row in rows] == [{"second": 6, "third": 0}] * 3
        before = found
