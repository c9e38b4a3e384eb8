"""The reference: its pictures, its scaling, the arrays in it, and what counts as the same numbers."""

from __future__ import annotations

import hashlib
import os
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import gpus, reference
from support.shared import SPEC


class Layer:
    """A layer of Keras. weights: whether it has any."""

    def __init__(self, name: str, weights: bool) -> None:
        self.name, self.weights = name, ["a variable"] * weights
        self.arrays: list[np.ndarray] | None = None

    def set_weights(self, arrays: list[np.ndarray]) -> None:
        self.arrays = arrays


def test_the_model_is_the_backbone_alone_with_the_arrays_of_each_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a Keras that takes no time; test_engines.py compares the numbers of the real one."""
    made: list[dict[str, Any]] = []
    configured: list[str] = []
    model = SimpleNamespace(layers=[Layer("conv", True), Layer("relu", False), Layer("bn", True)])
    architecture = lambda **given: made.append(given) or model  # noqa: E731
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(applications=SimpleNamespace(MobileNetV2=architecture)))
    monkeypatch.setattr(gpus, "configure_tensorflow", lambda: configured.append("before Keras"))
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    arrays = {"conv": [np.ones(2)], "bn": [np.zeros(1), np.ones(1)]}
    assert reference.build(SPEC, arrays) is model
    assert [layer.arrays for layer in model.layers] == [arrays["conv"], None, arrays["bn"]]
    assert made == [{"input_shape": (224, 224, 3), "include_top": False, "weights": None, "pooling": "avg"}]
    assert configured == ["before Keras"]
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"


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


def off_by_a_little(expected: np.ndarray) -> np.ndarray:
    found = expected.copy()
    found[2, 77] += 0.0011
    return found


def turned_by_a_little(expected: np.ndarray) -> np.ndarray:
    # Small vectors: each value is close, the direction differs.
    found = expected.copy()
    found[1] = found[1, ::-1]
    return found


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


def test_scaling_is_that_of_keras() -> None:
    from keras.applications.mobilenet_v2 import preprocess_input

    shades = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    assert np.array_equal(reference.scaled(shades, SPEC.value_scale), preprocess_input(shades.astype(np.float32)))
    assert (reference.scaled(shades, SPEC.value_scale).min(), reference.scaled(shades, SPEC.value_scale).max()) == (
        -1,
        1,
    )
