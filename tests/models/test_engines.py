from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import engines, reference
from imagefeatures.models.engines import Bundle, Engine
from imagefeatures.models.prepare import read_bundle
from imagefeatures.models.reference import LEAST_COSINE, MOST_ABSOLUTE_DIFFERENCE
from support.photos import picture, real_photos
from support.shared import PREPROCESSING, SPEC

NAMES = ("openvino", "tensorflow")


@pytest.fixture(scope="module")
def bundle(prepared_lake: str) -> Bundle:
    return read_bundle(SPEC, PREPROCESSING, prepared_lake)


@pytest.fixture(params=NAMES)
def engine(request: pytest.FixtureRequest, bundle: Bundle) -> Engine:
    return engines.cached(request.param, bundle)


def photos(resample: Image.Resampling) -> np.ndarray:
    opened = (Image.open(path).convert("RGB") for path in real_photos())
    return np.stack([np.asarray(image.resize((224, 224), resample)) for image in opened])


def drawn(count: int) -> np.ndarray:
    return np.stack([picture(224, 224, seed) for seed in range(count)])


def test_engines_agree_on_photos_drawings_and_extremes(bundle: Bundle) -> None:
    extremes = np.stack([np.full((224, 224, 3), shade, np.uint8) for shade in (0, 127, 255)])
    noise = np.random.default_rng(4).integers(0, 256, (2, 224, 224, 3), np.uint8)
    golden = reference.golden_pixels(SPEC.input_shape)
    pixels = np.concatenate([photos(Image.Resampling.BICUBIC), golden, drawn(3), extremes, noise])
    one, other = (engines.cached(name, bundle).features(pixels) for name in NAMES)
    assert one.shape == other.shape == (len(pixels), SPEC.width)
    assert np.abs(one - other).max() <= MOST_ABSOLUTE_DIFFERENCE
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    assert ((one.astype(np.float64) * other).sum(axis=1) / lengths).min() >= LEAST_COSINE


def test_vectors_equal_those_published_elsewhere_for_these_photos(engine: Engine) -> None:
    china, flower = engine.features(photos(Image.Resampling.BILINEAR))
    assert np.linalg.norm(china) == pytest.approx(22.97669, abs=1e-3)
    assert np.linalg.norm(flower) == pytest.approx(25.46533, abs=1e-3)
    assert (china.sum(), flower.sum()) == pytest.approx((410.610, 504.071), abs=0.02)
    assert (china.argmax(), flower.argmax()) == (637, 930)


@pytest.mark.parametrize("count", [0, 1, 2, 31, 33])
def test_a_vector_does_not_depend_on_its_batch(engine: Engine, count: int) -> None:
    pixels = drawn(3)[np.arange(count) % 3]
    vectors = engine.features(pixels)
    assert (vectors.shape, vectors.dtype) == ((count, SPEC.width), np.float32)
    alone = engine.features(drawn(3))
    for at in range(count):
        assert np.abs(vectors[at] - alone[at % 3]).max() <= 1e-5
    assert np.abs(alone[0] - alone[1]).max() > 0.1  # else all vectors would be alike


def test_a_later_call_does_not_change_earlier_results(engine: Engine) -> None:
    first = engine.features(drawn(1))
    before = first.copy()
    engine.features(photos(Image.Resampling.BICUBIC))
    assert np.array_equal(first, before)


def test_pixels_may_be_read_only_arrays_as_arrow_gives_them(engine: Engine) -> None:
    pixels = drawn(2)
    expected = engine.features(pixels)
    pixels.flags.writeable = False
    assert np.array_equal(engine.features(pixels), expected)
    assert np.array_equal(pixels, drawn(2))


def test_an_engine_is_loaded_once_for_each_model(bundle: Bundle) -> None:
    first = engines.cached("openvino", bundle)
    assert engines.cached("openvino", bundle) is first
    assert engines.cached("openvino", replace(bundle, fingerprint="another")) is not first


@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_another_width_is_refused(name: str, bundle: Bundle) -> None:
    with pytest.raises(
        ModelMismatch, match=rf"^MODEL_MISMATCH: {name} gives vectors of 1280 values, the table holds 1024$"
    ):
        engines.load(name, replace(bundle, spec=SPEC.model_copy(update={"width": 1024})))


def test_weights_that_would_run_code_are_not_loaded(bundle: Bundle) -> None:
    sink = io.BytesIO()
    np.savez(sink, **{"Conv1/0": np.array([print], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        engines.load("tensorflow", replace(bundle, files={**bundle.files, "weights.npz": sink.getvalue()}))
