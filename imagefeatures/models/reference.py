"""The model in Keras: the numbers that every engine must reproduce."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import gpus
from imagefeatures.models.weights import Arrays

MOST_ABSOLUTE_DIFFERENCE = 1e-3
LEAST_COSINE = 0.99999
GOLDEN = Path(__file__).parent / "golden" / "mobilenet_v2.npy"


def build(arrays: Arrays) -> Any:
    """The backbone as a Keras model: float32 [n, 224, 224, 3] in [-1, 1] to float32 [n, 1280].

    arrays: from `weights.load_weights`, already checked.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported: no banner in task logs
    gpus.settle()
    import keras

    model = keras.applications.MobileNetV2(input_shape=(224, 224, 3), include_top=False, weights=None, pooling="avg")
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(arrays[layer.name])
    return model


def scaled(pixels: np.ndarray) -> np.ndarray:
    """uint8 [n, 224, 224, 3] to the model's float32 in [-1, 1]."""
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def golden_pixels() -> np.ndarray:
    """Four pictures drawn by integer arithmetic, the same on every machine: uint8 [4, 224, 224, 3].

    A ramp, stripes, discs and noise: between them they reach every filter of the first layers.
    """
    y, x, c = np.meshgrid(np.arange(224), np.arange(224), np.arange(3), indexing="ij")
    ramp = (x * (c + 1) + y * (3 - c)) * 255 // (224 * 5)
    stripes = ((x * (c + 2) + y * 5) // 16 % 2) * (255 - 60 * c)
    discs = (((x - 60 - 30 * c) ** 2 + (y - 112) ** 2) // 900) * 53 % 256
    noise = (x * 7919 + y * 104729 + c * 1299709) ** 2 // 64 % 256
    return np.stack([ramp, stripes, discs, noise]).astype(np.uint8)


def golden_vectors() -> np.ndarray:
    """What the reference makes of `golden_pixels`: float32 [4, 1280], kept beside this module."""
    return np.load(GOLDEN, allow_pickle=False)


def check_parity(name: str, found: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """Compare float32 [n, width] with the reference. Raises ModelMismatch beyond the tolerances."""
    difference = float(np.abs(found - expected).max())
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    cosine = float(((found.astype(np.float64) * expected).sum(axis=1) / lengths).min())
    if not (difference <= MOST_ABSOLUTE_DIFFERENCE and cosine >= LEAST_COSINE):
        raise ModelMismatch(
            f"MODEL_MISMATCH: {name} differs by {difference:.2g} (at most {MOST_ABSOLUTE_DIFFERENCE:g}), "
            f"cosine {cosine:.7f} (at least {LEAST_COSINE})"
        )
    return {"max_absolute_difference": difference, "min_cosine": cosine}
