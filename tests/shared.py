"""Names that the tests and their fixtures share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from imagefeatures.plan import Run

MODEL = "mobilenet_v2"
PARTITION = "2026-11-02"
BUCKET = "images"
"""The bucket that exists in the `s3` fixture's server."""

AWS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_DEFAULT_REGION": "us-east-1"}

MakeRun = Callable[..., Run]


class ColourEngine:
    """An engine that is quick, and right enough for everything but its numbers: the mean colour, repeated."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return np.resize(pixels.mean(axis=(1, 2)), (len(pixels), 1280)).astype(np.float32)
