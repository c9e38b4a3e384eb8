"""Models that Keras reads: where they can be cut, and what is refused that another process would read wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.own.keras_graph import KerasGraph, _check_says_its_layers


def base(dtype: str | None = None) -> Any:
    import keras
    from keras import layers

    image = keras.Input((40, 32, 3))
    found = layers.Conv2D(8, 3, strides=2, dtype=dtype)(image)
    return keras.Model(image, layers.GlobalAveragePooling2D(dtype=dtype)(found), name="base")


def nested(inner: Any) -> Any:
    import keras
    from keras import layers

    scaled = layers.Rescaling(1 / 127.5, -1)
    return keras.Sequential([keras.Input((40, 32, 3)), scaled, inner, layers.Dense(3, name="head")])


def test_the_output_of_a_model_inside_is_taken_where_it_is_called(tmp_path: Path) -> None:
    model = nested(base())
    model.save(tmp_path / "m.keras")
    graph = KerasGraph(tmp_path / "m.keras", "keras", None)
    described = graph.describe()
    found = [(candidate.name, candidate.shape) for candidate in described.candidates]
    assert found == [("rescaling", [None, 40, 32, 3]), ("base", [None, 8]), ("head", [None, 3])]
    assert described.output == "head"
    assert graph.shape_of("base", (40, 32, 3), "nhwc")[0] == [1, 8]
    pixels = np.random.default_rng(3).integers(0, 256, (2, 40, 32, 3)).astype(np.float32)
    expected = model.get_layer("base")(pixels / 127.5 - 1).numpy()
    assert np.abs(graph._cut("base", (40, 32, 3))(pixels).numpy() - expected).max() < 1e-5


def test_half_precision_in_a_model_inside_is_refused(tmp_path: Path) -> None:
    nested(base("mixed_float16")).save(tmp_path / "m.keras")
    with pytest.raises(ModelMismatch, match=r"^its layer \w+ computes in float16; save the model in float32$"):
        KerasGraph(tmp_path / "m.keras", "keras", None)


def test_arrays_of_an_efficientnet_do_not_say_whether_it_has_the_layer_of_imagenet() -> None:
    ones = np.ones(3, np.float32)
    arrays = {"normalization": [ones / 2, ones, ones[:1]], "stem_conv": [ones]}
    with pytest.raises(ModelMismatch, match=r"^architecture: arrays of EfficientNetB0 do not say .* save the whole"):
        _check_says_its_layers(BACKBONES["efficientnet_b0"], arrays)
    _check_says_its_layers(BACKBONES["efficientnet_v2_b0"], arrays)
    without_a_mean = arrays | {"normalization": [ones * 0, ones, ones[:1]]}  # it has never seen ImageNet's
    _check_says_its_layers(BACKBONES["efficientnet_b0"], without_a_mean)
