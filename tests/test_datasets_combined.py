"""Fields of a dataset file that say something of one another: models, channels, preprocess, features, engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagefeatures import names
from imagefeatures.dataset_files import load_dataset
from imagefeatures.errors import DatasetError
from imagefeatures.models.own.declared import FROM_CONFIG
from support.dataset_files import written

GOOD = {"name": "fruit", "source": "s3://b/"}
FILE = {"preprocessor_config": "s3://b/preprocessor_config.json"}
SERVER = {"serving": "http://m:8000", "protocol": "kserve", "model": "birds"}
SIZES = [{"resize": {"size": [64, 64]}}]


def own(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "uri": f"s3://b/{name}.onnx", **fields}


def test_every_model_from_a_file_gets_its_scale_from_the_file_of_the_preprocessing(tmp_path: Path) -> None:
    models = [own("a"), own("b", normalize=FROM_CONFIG), own("c", normalize="tf"), "resnet50"]
    dataset = load_dataset(written(tmp_path, GOOD | {"models": models, "preprocess": FILE}))
    assert [getattr(model, "normalize", None) for model in dataset.every_model] == [
        FROM_CONFIG,
        FROM_CONFIG,
        "tf",
        None,
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"models": [own("a", normalize="tf"), own("b", normalize=FROM_CONFIG)]}, "models.1: normalize: is required"),
        ({"models": [own("a"), own("b", normalize="tf")], "preprocess": SIZES}, "models.0: normalize: is required"),
        ({"models": [own("a", normalize="tf"), own("none", normalize="tf")]}, "models: none is what the tables say"),
        ({"model": own("none", normalize="tf")}, "model: none is what the tables say where there is no model"),
        (
            {"models": [own("a", normalize="tf"), own("b", normalize={"mean": [1, 2]})]},
            "models.1.normalize.mean: must be one number, or three",
        ),
        ({"models": [own("a")], "scale": 255}, "models.0: normalize: is required"),
        ({"channels": 5, "model": {"name": "birds"}, "engine": SERVER}, "channels: a model server takes RGB"),
        ({"models": ["resnet50", "vgg16"], "engine": SERVER}, "engine: is one model of a server; write model in place"),
        (
            {"features": "none", "pixels": "keep", "engine": SERVER, "model": {"name": "birds", "size": [300, 300]}},
            "model: says no size where features is none; write preprocess in its place",
        ),
        ({"features": "none", "pixels": "keep", "classify": {}}, "classify: needs vectors, and features: none makes"),
        ({"channels": 5, "preprocess": FILE}, "preprocess: preprocessor_config: is for RGB, and channels takes"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(tmp_path: Path, content: dict[str, Any], says: str) -> None:
    with pytest.raises(DatasetError) as refused:
        load_dataset(written(tmp_path, GOOD | content))
    assert says in str(refused.value)


def test_pixels_alone_are_of_any_type_since_no_model_takes_them(tmp_path: Path) -> None:
    content = {"features": "none", "pixels": "keep", "channels": {"count": 5, "dtype": "uint16"}, "preprocess": SIZES}
    assert load_dataset(written(tmp_path, GOOD | content)).tables == ("fruit_pixels",)


def test_a_model_called_none_of_an_earlier_version_has_its_table() -> None:
    row = {"dataset": "fruit", "model": names.NO_MODEL}
    assert names.tables_of_run(row | {"pixels": None}) == ["fruit"]
    assert names.tables_of_run(row | {"pixels": "0f"}) == ["fruit_pixels"]
