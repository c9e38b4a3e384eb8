"""Names that the tests and their fixtures share."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from imagefeatures import images
from imagefeatures.limits import Limits
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.plan import Run
from imagefeatures.step_runner import StepRunner
from imagefeatures.workers import ThisProcess

MODEL = "mobilenet_v2"
SPEC = BACKBONES[MODEL]
PREPROCESSING = SPEC.preprocessing
PARTITION = "2026-11-02"
BUCKET = "images"
"""The bucket that the `s3` fixture's server has."""

AWS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_DEFAULT_REGION": "us-east-1"}

MakeRun = Callable[..., Run]


def decode(data: bytes, limits: Limits) -> images.Decoded:
    """images.decode for the model of the tests."""
    return images.decode(data, limits, PREPROCESSING)


class ColourEngine:
    """A fast engine for tests that do not check its numbers: a vector is the image's mean colour, repeated."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return np.resize(pixels.mean(axis=(1, 2)), (len(pixels), SPEC.width)).astype(np.float32)


THIS_PROCESS = ThisProcess(StepRunner(ColourEngine()))
"""For local.run_steps: shards one after the other in this process, with that engine."""


def until(condition: Callable[[], object], timeout_seconds: float = 800) -> None:
    """Wait until condition() is true. Fails the test after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"the condition is not true after {timeout_seconds:g} s")
        time.sleep(0.5)
