"""Small models of Keras with weights from a seed, and what Keras computes with them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from imagefeatures.models import reference

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def keras_model(bands: int, height: int, width: int, seed: int = 23) -> Any:
    """Two convolutions and an average over the picture: 24 values."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    image = keras.Input((height, width, bands))
    found = layers.Conv2D(16, 3, strides=2, activation="relu")(image)
    found = layers.Conv2D(24, 3, strides=2, activation="relu")(found)
    return keras.Model(image, layers.GlobalAveragePooling2D(name="pool")(found))


def check_vector(found: np.ndarray, wanted: np.ndarray) -> None:
    """Within the bounds of an engine."""
    assert np.abs(found - wanted).max() <= reference.MOST_ABSOLUTE_DIFFERENCE * max(1, np.abs(wanted).max())
    assert found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted) >= reference.LEAST_COSINE
