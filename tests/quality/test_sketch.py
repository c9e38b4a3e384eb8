"""Sketches say of vectors what NumPy says of all of them at once, and nothing of few."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from imagefeatures.quality.sketch import DIMENSIONS, LEAST, SAMPLE, Sketch, Sums, projection
from imagefeatures.similarity import unit_length
from support.measured import WIDTH, clouds


def sketch_of(vectors: np.ndarray) -> Sketch:
    sums = Sums(0)
    sums.add(vectors)
    assert sums.sketch
    return sums.sketch


@pytest.mark.parametrize("parts", [1, 7])
def test_a_sketch_is_the_mean_and_the_covariance_of_all_batches(parts: int) -> None:
    vectors = clouds(0, 500)
    sums = Sums(0)
    for part in np.array_split(vectors, parts):
        sums.add(part)
    unit = unit_length(vectors).astype(float)
    sketch = sums.sketch
    assert sketch
    assert sketch.count == 500
    np.testing.assert_allclose(sketch.mean, unit.mean(axis=0), atol=1e-7)
    covariance = np.cov((unit @ projection(WIDTH)).T, bias=True)
    np.testing.assert_allclose(sketch.covariance, covariance, atol=1e-6)


def test_pooled_sketches_are_the_sketch_of_all_vectors() -> None:
    parts = [clouds(0, 60), clouds(1, 200, shift=1), clouds(2, 90)]
    pooled, whole = Sketch.pooled([sketch_of(part) for part in parts]), sketch_of(np.concatenate(parts))
    assert pooled.count == whole.count
    np.testing.assert_allclose(pooled.mean, whole.mean, atol=1e-7)
    np.testing.assert_allclose(pooled.covariance, whole.covariance, atol=1e-6)


def test_there_is_no_sketch_of_fewer_pictures_than_hide_one() -> None:
    sums = Sums(0)
    sums.add(clouds(0, LEAST - 1))
    assert sums.sketch is None
    sums.add(clouds(1, 1))
    assert sums.sketch is not None
    assert Sums(0).sketch is None
    assert (Sums(0).sample.shape, Sums(0).sample.dtype) == ((0, 0), np.float32)


def test_the_sample_is_drawn_from_all_batches_alike() -> None:
    sums = Sums(0)
    for number in range(20):  # the number of its batch is the direction of a vector
        batch = np.full((500, WIDTH), 0.0, np.float32)
        batch[:, 0], batch[:, 1] = np.cos(number / 20), np.sin(number / 20)
        sums.add(batch)
    assert sums.sample.shape == (SAMPLE, WIDTH)
    batches = np.round(20 * np.arctan2(sums.sample[:, 1], sums.sample[:, 0])).astype(int)
    counts = np.bincount(batches, minlength=20)
    assert counts.min() > 25  # 50 each, give or take
    assert counts.max() < 80


def test_the_projection_never_changes() -> None:
    """Sketches in tables are compared with those of later versions."""
    wide = projection(1280)
    assert wide.shape == (1280, DIMENSIONS)
    digest = hashlib.sha256((wide > 0).tobytes()).hexdigest()
    assert digest == "e4245bb2d541788c491606cc88a171e3df11db00d6eadf15b86b18bc0d1b6e03"
    lengths = np.linalg.norm(unit_length(np.random.default_rng(0).normal(size=(300, 1280))) @ wide, axis=1)
    assert abs(np.mean(lengths**2) - 1) < 0.05


@pytest.mark.parametrize("width", [1, 3, 1001])
def test_vectors_of_any_width_have_a_sketch(width: int) -> None:
    sketch = sketch_of(np.random.default_rng(0).normal(size=(60, width)).astype(np.float32))
    assert (sketch.mean.shape, sketch.covariance.shape) == ((width,), (DIMENSIONS, DIMENSIONS))
