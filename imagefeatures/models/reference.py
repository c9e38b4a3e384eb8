"""The model in Keras: the numbers that every engine must reproduce."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import gpus

if TYPE_CHECKING:
    from imagefeatures.models.hdf5 import Arrays
    from imagefeatures.models.spec import ModelSpec, ValueScale

MOST_ABSOLUTE_DIFFERENCE = 1e-3
LEAST_COSINE = 0.99999
GOLDEN = Path(__file__).parent / "golden"


def build(spec: ModelSpec, arrays: Arrays) -> Any:
    """The backbone as a Keras model: float32 [n, *input_shape], scaled, to float32 [n, width].

    arrays: from `weights.load_weights`, already checked.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported: no banner in task logs
    gpus.configure_tensorflow()
    import keras

    architecture = getattr(keras.applications, spec.architecture)
    model = architecture(input_shape=spec.input_shape, include_top=False, weights=None, pooling="avg")
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(arrays[layer.name])
    return model


def scaled(pixels: np.ndarray, scale: ValueScale) -> np.ndarray:
    """uint8 [n, height, width, channels] to the float32 that the model takes, in its order of channels."""
    mean, std = np.array(scale.mean), np.array(scale.std)
    values = pixels[..., ::-1] if scale.order == "bgr" else pixels
    return values.astype(np.float32) / np.float32(std) - np.float32(mean / std)


def golden_pixels(shape: tuple[int, int, int]) -> np.ndarray:
    """Four pictures drawn by integer arithmetic, the same on every machine: uint8 [4, *shape].

    A ramp, stripes, discs and noise: between them they reach every filter of the first layers.
    """
    height, width, channels = shape
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    ramp = (x * (c + 1) + y * (3 - c)) * 255 // (max(height, width) * 5)
    stripes = ((x * (c + 2) + y * 5) // 16 % 2) * (255 - 60 * c)
    discs = (((x - 60 - 30 * c) ** 2 + (y - height // 2) ** 2) // 900) * 53 % 256
    noise = (x * 7919 + y * 104729 + c * 1299709) ** 2 // 64 % 256
    return np.stack([ramp, stripes, discs, noise]).astype(np.uint8)


def kept_golden_vectors(spec: ModelSpec) -> np.ndarray | None:
    """The reference's vectors of `golden_pixels` when this version was released: float32 [4, width].

    The package has them for its own models; None for any other.
    """
    path = GOLDEN / f"{spec.name}.npy"
    return np.load(path, allow_pickle=False) if path.is_file() else None


def check_parity(name: str, vectors: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """Compare vectors, float32 [n, width], with the expected ones. Raises ModelMismatch beyond the tolerances."""
    difference = float(np.abs(vectors - expected).max())
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
    cosine = float(((vectors.astype(np.float64) * expected).sum(axis=1) / lengths).min())
    if not (difference <= MOST_ABSOLUTE_DIFFERENCE and cosine >= LEAST_COSINE):
        raise ModelMismatch(
            f"MODEL_MISMATCH: {name} differs by {difference:.2g} (at most {MOST_ABSOLUTE_DIFFERENCE:g}), "
            f"cosine {cosine:.7f} (at least {LEAST_COSINE})"
        )
    return {"max_absolute_difference": difference, "min_cosine": cosine}
