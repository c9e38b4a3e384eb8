"""A `preprocessor_config.json` in a dataset file and in a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from imagefeatures import storage
from imagefeatures.dataset_files import find_dataset
from imagefeatures.datasets import Dataset
from imagefeatures.errors import DatasetError, ParamsError
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.spec import VALUE_SCALES
from imagefeatures.plan import load_run, plan_run
from imagefeatures.preprocessing.hugging_face import mapping
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support import model_files
from support.photos import fill, jpeg
from support.processor_configs import CLIP, IMAGENET, MOBILENET, VIT
from support.shared import PARTITION


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", {"red/a.jpg": jpeg(1)})


def dataset_file(settings: Settings, photos: Path, config: dict[str, Any] | bytes, **fields: Any) -> Dataset:
    """A dataset whose file names a preprocessor_config.json beside it."""
    data = config if isinstance(config, bytes) else json.dumps(config).encode()
    (settings.datasets / "preprocessor_config.json").write_bytes(data)
    content = {"name": "photos", "source": f"file://{photos}/"}
    content |= {"preprocess": {"preprocessor_config": "preprocessor_config.json"}, **fields}
    (settings.datasets / "photos.yaml").write_text(yaml.safe_dump(content))
    return find_dataset(settings.datasets, "photos")


def test_a_run_has_the_chain_and_not_the_file(settings: Settings, photos: Path) -> None:
    dataset = dataset_file(settings, photos, MOBILENET)
    run_file = plan_run(dataset, RunParams(), PARTITION, settings)
    (settings.datasets / "preprocessor_config.json").write_bytes(b"changed")
    run = load_run(run_file, settings.lake)
    kinds = [step.kind for step in run.preprocessing.chain]
    assert kinds == ["upright", "rgb", "resize", "center_crop"]
    assert b"preprocessor_config" not in storage.read(run_file)
    same = [{"resize": {"shortest_edge": 256, "interpolation": "bilinear"}}]
    same += [{"center_crop": {"size": [224, 224], "rounding": "down"}}]
    by_list = Dataset.model_validate({"name": "photos", "source": f"file://{photos}/", "preprocess": same})
    assert load_run(plan_run(by_list, RunParams(), PARTITION, settings)).fingerprint == run.fingerprint


def test_a_processor_that_stretches_by_bicubic_is_the_default(settings: Settings, photos: Path) -> None:
    run = load_run(plan_run(dataset_file(settings, photos, VIT | {"resample": 3}), RunParams(), PARTITION, settings))
    assert run.fingerprint == "63e4fab4295764c4c5a908f0aaaec921"


def test_a_model_of_ones_own_gets_its_scale_from_the_file(settings: Settings, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "small.onnx").write_bytes(model_files.onnx())
    model = {"name": "small", "uri": f"file://{tmp_path}/small.onnx", "cut": "/pool"}
    sides = {"height": model_files.HEIGHT, "width": model_files.WIDTH}
    dataset = dataset_file(settings, photos, VIT | IMAGENET | {"size": sides}, model=model)
    run = load_run(plan_run(dataset, RunParams(), PARTITION, settings))
    assert run.model.value_scale.is_close(VALUE_SCALES["torch"])
    with pytest.raises(ParamsError, match=r"^preprocess: file://.*: scales values by .* and small takes x / 127.5 - 1"):
        plan_run(dataset_file(settings, photos, VIT | IMAGENET, model=model | {"normalize": "tf"}), RunParams(),
                 PARTITION, settings)  # fmt: skip


def test_the_scale_of_another_model_is_refused_with_both(settings: Settings, photos: Path) -> None:
    with pytest.raises(ParamsError) as refused:
        plan_run(dataset_file(settings, photos, MOBILENET | IMAGENET), RunParams(), PARTITION, settings)
    assert str(refused.value).endswith(
        "/preprocessor_config.json: scales values by (rgb - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375], and "
        "mobilenet_v2 takes x / 127.5 - 1: it is of another model"
    )
    assert BACKBONES["resnet50_v2"].value_scale.is_close(mapping(MOBILENET).normalize.as_scale())


def test_another_size_than_the_models_is_refused_with_both(settings: Settings, photos: Path) -> None:
    with pytest.raises(ParamsError, match=r"^preprocess: makes 192 × 224 × 3 .* of a picture, and mobilenet_v2 takes "):
        sides = {"height": 192, "width": 224}
        plan_run(dataset_file(settings, photos, VIT | {"size": sides}), RunParams(), PARTITION, settings)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"no json", "is no JSON"),
        (b" " * 70_000, "has more than 65,536 bytes: it is no preprocessor_config.json"),
        (CLIP | {"do_center_crop": False}, "resize: leaves the shape open"),
    ],
    ids=["text", "large", "open"],
)
def test_a_wrong_file_is_one_line_of_plan(
    config: dict[str, Any] | bytes, message: str, settings: Settings, photos: Path
) -> None:
    with pytest.raises(ParamsError, match=rf"^preprocess: file://\S+/preprocessor_config\.json: {message}"):
        plan_run(dataset_file(settings, photos, config), RunParams(), PARTITION, settings)


def test_a_missing_file_is_one_line_of_plan(settings: Settings, photos: Path) -> None:
    dataset = dataset_file(settings, photos, VIT)
    (settings.datasets / "preprocessor_config.json").unlink()
    with pytest.raises(ParamsError, match=r"^preprocess: file://\S+: there is no such file$"):
        plan_run(dataset, RunParams(), PARTITION, settings)


@pytest.mark.parametrize(
    ("preprocess", "message"),
    [
        ({"preprocessor_config": "https://example.org/x.json"}, "preprocessor_config: must be s3://bucket/… or file"),
        ({"preprocessor_config": "~/x.json"}, "preprocessor_config: ~, variables and {partition} are not expanded"),
        ({"preprocessor_config": ""}, "preprocessor_config: must not be empty"),
        ({"preprocessor_config": "x.json", "resize": {}}, "resize: unknown field"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_an_error_of_the_dataset_file(
    preprocess: dict[str, Any], message: str, settings: Settings, photos: Path
) -> None:
    with pytest.raises(DatasetError) as refused:
        dataset_file(settings, photos, VIT, preprocess=preprocess)
    assert f"preprocess.{message}" in str(refused.value)


def test_a_model_that_waits_for_a_file_needs_one(settings: Settings, photos: Path) -> None:
    model = {"name": "small", "uri": "small.onnx", "normalize": "preprocessor_config"}
    with pytest.raises(DatasetError, match=r"model: normalize: is required, as no file says"):
        dataset_file(settings, photos, VIT, model=model, preprocess=None)
