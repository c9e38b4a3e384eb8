"""Another backbone than the default: the whole way from a file of Keras to vectors, against Keras' own functions.

One family with small pictures; tests/suites/models has all of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.seeded_models import vectors_of_keras, write_weights
from imagefeatures.models import engines, prepare, reference
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.pinning import pinned
from imagefeatures.models.spec import ModelSpec
from imagefeatures.models.weights import cache_file
from support.photos import picture


def small(name: str, tmp_path: Path) -> ModelSpec:
    """A model by name whose pictures have 64 × 64 pixels, with seeded weights in the cache folder `tmp_path`."""
    spec = BACKBONES[name].model_copy(update={"input_shape": (64, 64, 3), "weights_hash": None})
    cache_file(spec, tmp_path).parent.mkdir()
    write_weights(spec, cache_file(spec, tmp_path))
    return pinned(spec, tmp_path.as_uri(), tmp_path)


def pictures(spec: ModelSpec) -> np.ndarray:
    drawn = np.stack([picture(64, 64, seed) for seed in range(3)])
    return np.concatenate([drawn, reference.golden_pixels(spec.input_shape)])


def check(vectors: np.ndarray, expected: np.ndarray, spec: ModelSpec) -> None:
    assert vectors.shape == (7, spec.width)
    assert np.abs(vectors[1:] - vectors[:-1]).max(axis=1).min() > 0.1  # else parity would prove nothing
    reference.check_parity("an engine", vectors, expected)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[engines.Bundle, Path]:
    """VGG16, prepared in a lake: BGR, less a mean for each channel. And the folder of lake and cache."""
    folder = tmp_path_factory.mktemp("vgg16")
    spec = small("vgg16", folder)
    prepare.prepare(spec, spec.preprocessing, folder.as_uri(), folder)
    return prepare.read_bundle(spec, spec.preprocessing, folder.as_uri()), folder


@pytest.mark.long
@pytest.mark.parametrize("name", engines.NAMES)
def test_a_prepared_model_gives_keras_vectors_by_both_engines(name: str, prepared: tuple[engines.Bundle, Path]) -> None:
    (bundle, folder), spec = prepared, prepared[0].spec
    pixels = pictures(spec)
    expected = vectors_of_keras(spec, cache_file(spec, folder), pixels)
    check(engines.load(name, bundle).features(pixels), expected, spec)
    # Red and blue matter, or an engine that did not exchange them would pass.
    turned = engines.load(name, bundle).features(pixels[..., ::-1].copy())
    assert np.abs(turned - expected).max() > 0.01
