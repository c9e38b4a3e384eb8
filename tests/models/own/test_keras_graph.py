"""Models that Keras reads: where they can be cut, and what is refused that another process would read wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import reference
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.engines.openvino import BIN, XML, OpenVino
from imagefeatures.models.own import child
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.models.own.describe import Facts
from imagefeatures.models.own.keras_graph import CUT_FILE, KerasGraph, _check_says_its_layers, load_cut
from imagefeatures.models.own.resolve import spec_of


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


def ending(how: str) -> Any:
    """A model whose last step is no layer of its own: another operation, or a layer that is called before too."""
    import keras
    from keras import layers, ops

    image, relu = keras.Input((40, 32, 3)), layers.ReLU(name="relu")
    found = layers.Conv2D(8, 3, strides=2, name="conv")(image)
    pooled = layers.GlobalAveragePooling2D(name="pool")(found)
    ends = {
        "normalize": lambda: ops.normalize(pooled),
        "divide": lambda: pooled / ops.norm(pooled, axis=-1, keepdims=True),
        "slice": lambda: layers.Reshape((-1, 8))(found)[:, 0],
        "split": lambda: ops.split(pooled, 2, axis=-1)[1],
        "reused": lambda: relu(layers.Dense(5)(relu(pooled))),
        "heads": lambda: [layers.Dense(5)(pooled), layers.Dense(4)(layers.Dense(6)(pooled))],
        "number": lambda: ops.max(pooled, axis=-1),
        "whole": lambda: ops.cast(pooled, "int32"),
        "rows": lambda: ops.reshape(pooled, (-1, 2)),
        "nothing": lambda: image,
    }
    return keras.Model(image, ends[how]())


def saved(folder: Path, how: str) -> tuple[Any, KerasGraph]:
    model = ending(how)
    model.save(folder / "model.keras")
    return model, KerasGraph(folder / "model.keras", "keras", None)


def answer(folder: Path, how: str, **fields: object) -> child.Result:
    """What the process answers for such a model in a dataset file with these fields."""
    (folder / child.FILES).mkdir()
    ending(how).save(folder / child.FILES / "model.keras")
    fields = {"name": "small", "uri": "file:///models/model.keras", "normalize": "none"} | fields
    return child.answer(
        child.Request(format="keras", main="model.keras", model=OwnModel.model_validate(fields)), folder
    )


@pytest.mark.parametrize(
    ("how", "output"),
    [
        ("normalize", "normalize"), ("divide", "true_divide"), ("slice", "get_item"), ("split", "split"),
        ("reused", "relu"), ("heads", "dense"),
    ],
)  # fmt: skip
def test_the_own_output_is_what_the_model_gives_first(tmp_path: Path, how: str, output: str) -> None:
    model, graph = saved(tmp_path, how)
    pixels = np.random.default_rng(3).integers(0, 256, (2, 40, 32, 3)).astype(np.float32)
    given = model(pixels)
    expected = (given[0] if how == "heads" else given).numpy()
    described = graph.describe()
    assert described.output.startswith(output)
    assert [one.shape for one in described.candidates if one.name == described.output] == [[None, expected.shape[1]]]
    assert graph.shape_of(described.output, (40, 32, 3), "nhwc")[0] == [1, expected.shape[1]]
    assert np.abs(graph._cut(described.output, (40, 32, 3))(pixels).numpy() - expected).max() < 1e-5


def test_both_engines_give_an_own_output_that_is_no_layer(tmp_path: Path) -> None:
    found = answer(tmp_path, "normalize").facts
    assert found
    assert found.width == 8
    model = OwnModel.model_validate({"name": "small", "uri": "file:///models/model.keras", "normalize": "none"})
    spec = spec_of(model, "0" * 64, found)
    files, golden = KerasGraph(tmp_path / child.FILES / "model.keras", "keras", None).build(spec)
    assert np.allclose(np.linalg.norm(golden, axis=1), 1, atol=1e-5)
    pixels = reference.golden_pixels(spec.input_shape)
    assert np.abs(load_cut(files[CUT_FILE])(pixels.astype(np.float32)).numpy() - golden).max() < 1e-5
    assert np.abs(OpenVino(files[XML], files[BIN]).features(pixels) - golden).max() < 1e-4


@pytest.mark.parametrize("how", ["augmented", "trained"])
def test_layers_that_do_something_else_in_training_compute_as_in_predict(tmp_path: Path, how: str) -> None:
    import keras
    from keras import layers

    image = keras.Input((40, 32, 3))
    found, training = image, None
    if how == "augmented":  # these train where nobody says anything
        for layer in (layers.RandomFlip(), layers.RandomRotation(0.2), layers.RandomContrast(0.3)):
            found = layer(found)
    else:
        training = True  # as somebody built it; Keras' predict says otherwise
    found = layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2)(found), training=training)
    found = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(found), training=training)
    model = keras.Model(image, found)
    model.save(tmp_path / "model.keras")
    own = OwnModel.model_validate({"name": "small", "uri": "file:///models/model.keras", "normalize": "none"})
    graph = KerasGraph(tmp_path / "model.keras", "keras", None)
    cut = graph.describe().output
    facts = Facts(cut=cut, pooling="none", layout="nhwc", input_shape=(40, 32, 3), width=8)
    files, golden = graph.build(spec_of(own, "0" * 64, facts))
    pixels = reference.golden_pixels((40, 32, 3))
    expected = model.predict(pixels.astype(np.float32), verbose=0)
    reference.check_parity("the reference", golden, expected, by_size=True)
    reference.check_parity("openvino", OpenVino(files[XML], files[BIN]).features(pixels), expected, by_size=True)
    reloaded = load_cut(files[CUT_FILE])(pixels.astype(np.float32), training=False).numpy()
    reference.check_parity("tensorflow", reloaded, expected, by_size=True)


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("number", r"^cut: is required, as the model's own output is no vector or picture .* lists the names$"),
        ("whole", r"^cut: cast\w* gives int32, and a vector needs float32$"),
        ("rows", r"^cut: reshape\w* gives \[4, 2\] for one image, where the first must be 1; choose another$"),
        ("nothing", r"^it has no place to cut: "),
    ],
)
def test_an_own_output_that_is_no_vector_of_an_image_is_refused(tmp_path: Path, how: str, line: str) -> None:
    with pytest.raises(ModelMismatch, match=line):
        answer(tmp_path, how)


def test_where_the_own_output_is_no_vector_a_layer_before_it_can_be_named(tmp_path: Path) -> None:
    found = answer(tmp_path, "number", cut="pool").facts
    assert found
    assert (found.cut, found.width) == ("pool", 8)


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
