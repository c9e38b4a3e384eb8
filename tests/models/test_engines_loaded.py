"""When an engine is loaded, and what is checked then: with an engine that takes no time."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import engines, reference
from support.shared import SPEC


def as_npy(vectors: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, vectors)
    return sink.getvalue()


GOLDEN = np.arange(1, 4 * SPEC.width + 1, dtype=np.float32).reshape(4, -1) / (4 * SPEC.width)
BUNDLE = engines.Bundle("a-fingerprint", SPEC, {engines.GOLDEN_FILE: as_npy(GOLDEN)})


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What the engines answer in the order in which they are loaded: each always the same."""
    given: list[np.ndarray] = []

    def load(bundle: engines.Bundle) -> object:
        vectors = given.pop(0)
        return SimpleNamespace(features=lambda pixels: vectors[: len(pixels)])

    monkeypatch.setattr(engines, "module", lambda name: SimpleNamespace(load=load))
    monkeypatch.setattr(engines, "_loaded", {})
    return given


def test_an_engine_with_the_models_numbers_is_loaded(answers: list[np.ndarray]) -> None:
    answers.append(GOLDEN)
    pixels = reference.golden_pixels(SPEC.input_shape)[:2]
    assert np.array_equal(engines.load("openvino", BUNDLE).features(pixels), GOLDEN[:2])


def test_an_engine_whose_numbers_or_width_are_not_the_models_is_refused(answers: list[np.ndarray]) -> None:
    answers += [GOLDEN + np.float32(0.002), GOLDEN[:, :-1]]
    with pytest.raises(ModelMismatch, match=r"^MODEL_MISMATCH: openvino differs by 0\.002 "):
        engines.load("openvino", BUNDLE)
    with pytest.raises(ModelMismatch, match=r"^MODEL_MISMATCH: openvino gives vectors of 1279 values"):
        engines.load("openvino", BUNDLE)


def test_golden_vectors_that_would_run_code_are_not_loaded() -> None:
    bundle = replace(BUNDLE, files={engines.GOLDEN_FILE: as_npy(np.array([print], dtype=object))})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        bundle.golden_vectors  # noqa: B018 - reading it is what is tried


def test_one_process_loads_each_engine_of_each_model_once(answers: list[np.ndarray]) -> None:
    answers += [GOLDEN] * 3
    first = engines.cached("openvino", BUNDLE)
    of_others = engines.cached("tensorflow", BUNDLE), engines.cached("openvino", replace(BUNDLE, fingerprint="b"))
    assert first not in of_others
    assert of_others[0] is not of_others[1]
    assert engines.cached("openvino", BUNDLE) is first
    assert answers == []


def test_a_lazy_engine_is_loaded_by_the_first_pixels() -> None:
    loaded: list[str] = []

    def load() -> engines.Engine:
        loaded.append("engine")
        return SimpleNamespace(features=lambda pixels: GOLDEN[: len(pixels)])

    engine = engines.LazyEngine(load)
    assert loaded == []
    assert np.array_equal(engine.features(np.zeros((3, 1, 1, 1), np.uint8)), GOLDEN[:3])
    assert loaded == ["engine"]


def test_an_engine_that_there_is_not_is_refused_with_the_names_of_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"^there is no engine 'onnx', only openvino, tensorflow$"):
        engines.module("onnx")
    assert engines.module("openvino").__name__ == "imagefeatures.models.engines.openvino"
