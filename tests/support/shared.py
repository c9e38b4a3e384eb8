"""Names that the tests and their fixtures share."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from imagefeatures import images
from imagefeatures.datasets import Limits
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.plan import Run
from imagefeatures.step_runner import StepRunner
from imagefeatures.workers import ThisProcess

MODEL = "mobilenet_v2"
SPEC = BACKBONES[MODEL]
PREPROCESSING = SPEC.preprocessing
PARTITION = "2026-11-02"
BUCKET = "images"
"""The bucket that exists in the `s3` fixture's server."""

AWS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_DEFAULT_REGION": "us-east-1"}

MakeRun = Callable[..., Run]


def decode(data: bytes, limits: Limits) -> images.Decoded:
    """images.decode for the model of the tests."""
    return images.decode(data, limits, PREPROCESSING)


class ColourEngine:
    """An engine that is quick, and right enough for everything but its numbers: the mean colour, repeated."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return np.resize(pixels.mean(axis=(1, 2)), (len(pixels), SPEC.width)).astype(np.float32)


THIS_PROCESS = ThisProcess(StepRunner(ColourEngine()))
"""For local.run_steps: shards one after the other in this process, with that engine."""


def until(true: Callable[[], object], patience_seconds: float = 800) -> None:
    """Wait until true() is; fail when that takes too long."""
    deadline = time.monotonic() + patience_seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"not so after {patience_seconds:g} s")
        time.sleep(0.5)
