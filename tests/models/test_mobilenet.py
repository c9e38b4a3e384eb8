"""The default model is built from its weights, without Keras: the same numbers, and nothing else is taken for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imagefeatures.models import mobilenet, prepare, reference
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.engines import openvino
from imagefeatures.models.hdf5 import Arrays
from imagefeatures.models.weights import load_weights
from imagefeatures.settings import Settings
from support.shared import PREPROCESSING, SPEC

PREPARED_ALONE = """
import sys
from imagefeatures.models import prepare
from imagefeatures.settings import Settings
from support.shared import PREPROCESSING, SPEC
settings = Settings.from_env()
prepare.prepare(SPEC, PREPROCESSING, settings.lake, settings.cache)
print(*sorted(name for name in ("tensorflow", "keras") if name in sys.modules))
"""


@pytest.fixture(scope="module")
def weights() -> Arrays:
    return load_weights(SPEC, Settings.from_env().cache)


def vectors(arrays: Arrays, spec: object = SPEC) -> np.ndarray:
    files = openvino.as_files(mobilenet.graph(arrays, spec), spec)
    engine = openvino.OpenVino(files[openvino.XML], files[openvino.BIN])
    return engine.features(reference.golden_pixels(SPEC.input_shape))


def test_it_gives_the_golden_vectors(weights: Arrays) -> None:
    found = reference.check_parity("the graph", vectors(weights), reference.kept_golden_vectors(SPEC))
    assert found["max_absolute_difference"] < 1e-4


@pytest.mark.parametrize(
    "layer", ["Conv1", "bn_Conv1", "expanded_conv_depthwise", "block_5_project_BN", "block_16_expand", "Conv_1"]
)
def test_every_array_counts(weights: Arrays, layer: str) -> None:
    changed = weights | {
        layer: [np.roll(weights[layer][0], 1, -2 if weights[layer][0].ndim > 1 else 0), *weights[layer][1:]]
    }
    assert np.abs(vectors(changed) - reference.kept_golden_vectors(SPEC)).max() > 1e-3


@pytest.mark.parametrize("spoil", ["a layer less", "another shape", "an array less"])
def test_arrays_of_another_model_are_refused(weights: Arrays, spoil: str) -> None:
    changed = dict(weights)
    if spoil == "a layer less":
        del changed["block_3_expand"]
    elif spoil == "another shape":
        changed["block_3_expand"] = [weights["block_3_expand"][0][..., :7]]
    else:
        changed["bn_Conv1"] = weights["bn_Conv1"][:3]
    with pytest.raises((KeyError, ValueError, RuntimeError)):
        mobilenet.graph(changed, SPEC)


def test_only_the_whole_model_is_built_so() -> None:
    assert [name for name, spec in BACKBONES.items() if mobilenet.is_of(spec)] == ["mobilenet_v2"]
    assert not mobilenet.is_of(SPEC.model_copy(update={"cut": "block_13_project"}))
    assert not mobilenet.is_of(SPEC.model_copy(update={"pooling": "flatten"}))


def test_the_largest_values_are_pooled_where_that_is_asked_for(weights: Arrays) -> None:
    largest = vectors(weights, SPEC.model_copy(update={"pooling": "max"}))
    assert (largest >= vectors(weights) - 1e-5).all()
    assert np.abs(largest - vectors(weights)).max() > 0.1


def test_preparing_it_imports_no_tensorflow(settings: Settings, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "mobilenet_v2.h5").symlink_to(Settings.from_env().cache / "weights" / "mobilenet_v2.h5")
    environment = {"IMAGEFEATURES_LAKE": settings.lake, "IMAGEFEATURES_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", PREPARED_ALONE], capture_output=True, text=True, env={**environment, **_paths()}
    )
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
    bundle = prepare.read_bundle(SPEC, PREPROCESSING, settings.lake)
    assert set(bundle.files) == {"golden.npy", "model.xml", "model.bin", "weights.npz"}


def _paths() -> dict[str, str]:
    import os

    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PATH": os.environ["PATH"]}
