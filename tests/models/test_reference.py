"""The reference: its pictures, its scaling, the arrays in it, and what counts as the same numbers."""

from __future__ import annotations

import hashlib
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import gpus, reference
from imagefeatures.models.spec import VALUE_SCALES, ValueScale
from support.shared import SPEC


class Variable:
    """A variable of Keras."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.array = shape, None

    def assign(self, array: np.ndarray) -> None:
        self.array = array


class Layer:
    """A layer of Keras: its variables, of which the second half is not trained. final: how often it was told."""

    def __init__(self, name: str, *shapes: tuple[int, ...]) -> None:
        self.name, self.final = name, 0
        variables = [Variable(*shape) for shape in shapes]
        half = -(-len(variables) // 2)
        self.trainable_weights, self.non_trainable_weights = variables[:half], variables[half:]
        self.weights = self.non_trainable_weights + self.trainable_weights

    def finalize_state(self) -> None:
        self.final += 1


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What a Keras that takes no time makes; test_engines.py compares the numbers of the real one. made: how."""
    model = SimpleNamespace(layers=[Layer("conv", (2,)), Layer("relu"), Layer("bn", (1,), (1,))], made=[])
    architecture = lambda **given: model.made.append(given) or model  # noqa: E731
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(applications=SimpleNamespace(MobileNetV2=architecture)))
    monkeypatch.setattr(gpus, "configure_tensorflow", lambda: model.made.append("TensorFlow is configured"))
    return model


ARRAYS = {"conv": [np.ones(2)], "bn": [np.zeros(1), np.ones(1)]}


def test_the_model_is_the_backbone_alone_with_the_arrays_of_each_layer(
    model: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    assert reference.build(SPEC, ARRAYS) is model
    found = [[v.array for v in reference.variables(layer)] for layer in model.layers]
    assert found == [ARRAYS["conv"], [], ARRAYS["bn"]]
    assert [layer.final for layer in model.layers] == [1, 0, 1]
    how = {"input_shape": (224, 224, 3), "include_top": False, "weights": None, "pooling": "avg"}
    assert model.made == ["TensorFlow is configured", how]  # before Keras
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"


def test_layers_are_told_apart_by_their_order_and_not_by_names_that_keras_counts(model: SimpleNamespace) -> None:
    counted = dict(zip(("conv2d_17", "batch_normalization_9"), ARRAYS.values(), strict=True))
    reference.build(SPEC, counted)
    assert reference.variables(model.layers[2])[1].array is ARRAYS["bn"][1]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"conv": ARRAYS["conv"]}, "layer bn is missing, after 1 others"),
        (ARRAYS | {"dense": [np.ones(3)]}, "layer dense is too many, after 2 others"),
        ({"bn": ARRAYS["bn"], "conv": ARRAYS["conv"]}, "layer bn has arrays of shape [(1,), (1,)], conv has [(2,)]"),
        (ARRAYS | {"bn": ARRAYS["bn"][:1]}, "layer bn has arrays of shape [(1,)], bn has [(1,), (1,)]"),
    ],
)
def test_weights_of_another_architecture_are_refused_with_the_layer(
    arrays: dict[str, list[np.ndarray]], says: str, model: SimpleNamespace
) -> None:
    with pytest.raises(ModelMismatch) as refused:
        reference.build(SPEC, arrays)
    assert str(refused.value) == f"MODEL_MISMATCH: the weights are not those of MobileNetV2: {says}"


def test_the_layer_that_keras_adds_to_efficientnet_is_a_variance() -> None:
    mean, variance, count = np.float32([1, 2, 3]), np.float32([4, 5, 6]), np.float32(7)
    arrays = {"normalization": [mean, variance, count], "conv": [np.ones(2, np.float32)]}
    spec = SPEC.model_copy(update={"architecture": "EfficientNetB3"})
    changed = reference.as_in_imagenet(spec, arrays)
    assert list(changed) == list(arrays)
    pixels = np.float32([[200, 100, 50]])
    twice = (pixels - mean) / np.sqrt(variance) / np.sqrt(np.float32([0.229, 0.224, 0.225]))
    assert (pixels - changed["normalization"][0]) / np.sqrt(changed["normalization"][1]) == pytest.approx(twice)
    assert changed["conv"] is arrays["conv"]
    assert np.array_equal(arrays["normalization"][1], [4, 5, 6])  # those of the file stay as they are
    for other in ("EfficientNetV2B0", "MobileNetV2"):
        assert reference.as_in_imagenet(SPEC.model_copy(update={"architecture": other}), arrays) is arrays
    assert reference.as_in_imagenet(spec, {"conv": arrays["conv"]}) == {"conv": arrays["conv"]}


def test_pixels_are_scaled_from_minus_one_to_one() -> None:
    scaled = reference.scaled(np.uint8([0, 51, 204, 255]), SPEC.value_scale)
    assert scaled.dtype == np.float32
    assert scaled == pytest.approx([-1, -0.6, 0.6, 1], abs=1e-6)


def test_only_models_of_the_package_have_golden_vectors() -> None:
    kept = reference.kept_golden_vectors(SPEC)
    assert kept is not None
    assert (kept.shape, kept.dtype) == ((4, 1280), np.float32)
    assert reference.kept_golden_vectors(SPEC.model_copy(update={"name": "other"})) is None


def test_what_lies_exactly_at_a_tolerance_is_still_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found, expected = np.float32([[3, 4], [1, 0]]), np.float32([[4, 3], [1, 0]])  # they differ by 1; cosine 24/25
    monkeypatch.setattr(reference, "MOST_ABSOLUTE_DIFFERENCE", 1.0)
    monkeypatch.setattr(reference, "LEAST_COSINE", 0.96)
    assert reference.check_parity("engine", found, expected) == {"max_absolute_difference": 1.0, "min_cosine": 0.96}
    for name, value in (("MOST_ABSOLUTE_DIFFERENCE", 0.999), ("LEAST_COSINE", 0.961)):
        with monkeypatch.context() as patch, pytest.raises(ModelMismatch):
            patch.setattr(reference, name, value)
            reference.check_parity("engine", found, expected)


def test_vectors_within_the_tolerances_pass() -> None:
    expected = np.random.default_rng(5).random((4, 1280), np.float32)
    found = reference.check_parity("engine", expected + np.float32(0.0009), expected)
    assert found["max_absolute_difference"] == pytest.approx(0.0009, rel=1e-2)
    assert reference.check_parity("engine", expected, expected)["max_absolute_difference"] == 0


def test_large_vectors_of_an_own_model_may_differ_by_as_many_times_as_much() -> None:
    expected = np.random.default_rng(5).random((4, 1280), np.float32) * np.float32(500)
    found = expected.copy()
    found[2, 77] += 0.4
    assert reference.check_parity("engine", found, expected, by_size=True)["max_absolute_difference"] > 0.3
    found[2, 77] += 0.2
    with pytest.raises(ModelMismatch, match=r"differs by 0\.6 \(at most 0\.5\)"):
        reference.check_parity("engine", found, expected, by_size=True)
    with pytest.raises(ModelMismatch, match=r"differs by 0\.06 \(at most 0\.001\)"):
        reference.check_parity("engine", expected / 10, found / 10)
    with pytest.raises(ModelMismatch, match=r"\(at most 0\.001\)"):
        reference.check_parity("engine", expected / 1000 + np.float32(0.0011), expected / 1000, by_size=True)


def off_by_a_little(expected: np.ndarray) -> np.ndarray:
    found = expected.copy()
    found[2, 77] += 0.0011
    return found


def turned_by_a_little(expected: np.ndarray) -> np.ndarray:
    # Small vectors: each value is close, the direction differs.
    found = expected.copy()
    found[1] = found[1, ::-1]
    return found


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e-20, 1e18, 1e30])
def test_the_direction_counts_however_small_or_large_the_values_are(scale: float) -> None:
    drawn = np.random.default_rng(5).random((4, 1280), np.float32) + np.float32(0.5)
    expected = (drawn * scale).astype(np.float32)
    turned = expected[:, ::-1].copy()
    assert reference.check_parity("engine", expected, expected, by_size=True)["min_cosine"] == pytest.approx(1)
    with pytest.raises(ModelMismatch, match=r"cosine 0\.9[0-9]+ \(at least"):
        reference.check_parity("engine", turned, expected, by_size=True)


def test_of_a_vector_of_zeros_the_difference_alone_counts() -> None:
    expected = np.float32([[3, 4], [0, 0]])
    near = expected + np.float32([[0, 0], [0.0009, 0]])
    for found in (expected, near):
        assert reference.check_parity("engine", found, expected)["min_cosine"] == 1
    for found in (expected + np.float32([[0, 0], [0.0011, 0]]), np.zeros_like(expected)):
        with pytest.raises(ModelMismatch):
            reference.check_parity("engine", found, expected)
    small = expected * np.float32(1e-5)
    with pytest.raises(ModelMismatch, match=r"differs by 4e-05 \(at most 0\.001\), cosine 0\.0000000"):
        reference.check_parity("engine", np.zeros_like(small), small)


def with_a_hole(expected: np.ndarray) -> np.ndarray:
    found = expected.copy()
    found[3, 5] = np.nan
    return found


@pytest.mark.parametrize(
    ("spoil", "scale"),
    [(off_by_a_little, 1.0), (turned_by_a_little, 5e-4), (with_a_hole, 1.0)],
    ids=lambda v: str(v)[:20],
)
def test_vectors_beyond_a_tolerance_are_refused(spoil, scale: float) -> None:
    expected = np.random.default_rng(5).random((4, 1280), np.float32) * np.float32(scale)
    with pytest.raises(
        ModelMismatch, match=r"^MODEL_MISMATCH: openvino differs by .*, cosine .* \(at least 0\.99999\)$"
    ):
        reference.check_parity("openvino", spoil(expected), expected)


def test_golden_pictures_are_the_same_on_every_machine() -> None:
    pixels = reference.golden_pixels(SPEC.input_shape)
    assert (pixels.shape, pixels.dtype) == ((4, 224, 224, 3), np.uint8)
    assert hashlib.sha256(pixels.tobytes()).hexdigest()[:16] == "2e0af8b11199b888"


def test_golden_pictures_of_other_types_reach_over_what_the_model_takes() -> None:
    shape, scale = (9, 8, 300), ValueScale(mean=(5000.0,), std=(2500.0,))
    spec = SPEC.model_copy(update={"input_shape": shape, "scale": scale})
    eight = reference.golden_inputs(spec)
    assert np.array_equal(eight, reference.golden_pixels(shape))
    assert len({eight[..., band].tobytes() for band in range(300)}) == 300  # so exchanged bands are seen
    sixteen = reference.golden_inputs(spec.model_copy(update={"input_type": "uint16"}))
    assert (sixteen.dtype, sixteen.min(), sixteen.max()) == (np.uint16, 0, 65535)
    floats = reference.golden_inputs(spec.model_copy(update={"input_type": "float32"}))
    scaled = reference.scaled(floats, scale)
    assert floats.dtype == np.float32
    assert np.allclose([scaled.min(), scaled.max()], [-1, 1], atol=1e-4)


@pytest.mark.parametrize(
    ("mode", "module"),
    [("tf", "mobilenet_v2"), ("torch", "densenet"), ("caffe", "resnet"), ("none", "efficientnet")],
)
def test_scaling_is_that_of_keras(mode: str, module: str) -> None:
    from keras import applications

    preprocess_input = getattr(applications, module).preprocess_input
    shades = np.random.default_rng(3).permuted(np.arange(768) % 256).astype(np.uint8).reshape(1, 16, 16, 3)
    scaled, expected = reference.scaled(shades, VALUE_SCALES[mode]), preprocess_input(shades.astype(np.float32))
    assert scaled.dtype == np.float32
    assert np.abs(scaled - expected).max() <= (0 if mode in ("tf", "none") else 2e-5)
    assert len(np.unique(shades)) == 256
