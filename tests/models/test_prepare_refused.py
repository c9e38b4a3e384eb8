"""What becomes a model of the lake, and what never does: numbers that differ from those of the package."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.models import engines, prepare, reference
from imagefeatures.settings import Settings
from support.shared import PREPROCESSING, SPEC


def a_model_that_answers(vectors: np.ndarray) -> object:
    """A Keras model. As long as it is trained it has other numbers, and it takes pixels from -1 to 1."""

    def answer(pixels: np.ndarray, training: bool) -> object:
        assert (pixels.min(), pixels.max()) == (-1, 1)
        return SimpleNamespace(numpy=lambda: vectors + np.float32(training))

    return answer


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No weights are read; what engines export is only noted, and is what the reference answers."""
    asked: list[str] = []
    monkeypatch.setattr(prepare, "load_weights", lambda *_: {})
    export = lambda *_: asked.append("export") or {"model.bin": b"x"}  # noqa: E731
    monkeypatch.setattr(engines, "module", lambda name: SimpleNamespace(export=export))
    return asked


def test_a_model_is_written_with_what_was_measured_and_is_not_made_a_second_time(
    settings: Settings, exported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    golden, fingerprint = reference.kept_golden_vectors(SPEC), SPEC.fingerprint(PREPROCESSING)
    monkeypatch.setattr(reference, "build", lambda *_: a_model_that_answers(golden))
    bundles: list[engines.Bundle] = []

    def load(_: str, bundle: engines.Bundle) -> object:
        bundles.append(bundle)
        return SimpleNamespace(features=lambda pixels: golden[: len(pixels)])

    monkeypatch.setattr(engines, "load", load)
    facts = prepare.prepare(SPEC, PREPROCESSING, settings.lake, Path("nowhere"))
    files = dict(bundles[0].files)
    assert set(files) == {"golden.npy", "model.bin"}
    assert np.array_equal(np.load(io.BytesIO(files["golden.npy"])), golden)
    assert facts == {
        "model": "mobilenet_v2",
        "fingerprint": fingerprint,
        "width": 1280,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "reference": "keras",
        "parity": dict.fromkeys(engines.NAMES, reference.check_parity("same", golden, golden)),
    }
    assert bundles == [engines.Bundle(fingerprint, SPEC, files)] * len(engines.NAMES)
    assert prepare.read_bundle(SPEC, PREPROCESSING, settings.lake) == bundles[0]
    exported.clear()
    assert prepare.prepare(SPEC, PREPROCESSING, settings.lake, Path("nowhere")) == facts
    assert exported == []


def test_a_model_that_the_package_has_no_golden_vectors_of_is_its_own_reference(
    settings: Settings, exported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SPEC.model_copy(update={"name": "other"})
    vectors = np.ones((4, 1280), np.float32)
    monkeypatch.setattr(reference, "build", lambda *_: a_model_that_answers(vectors))
    monkeypatch.setattr(engines, "load", lambda *_: SimpleNamespace(features=lambda _: vectors))
    assert prepare.prepare(other, PREPROCESSING, settings.lake, Path("nowhere"))["model"] == "other"
    bundle = prepare.read_bundle(other, PREPROCESSING, settings.lake)
    assert np.array_equal(bundle.golden_vectors, vectors)


def test_a_reference_that_does_not_give_the_golden_vectors_is_refused_before_an_engine_is_made(
    settings: Settings, exported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = reference.kept_golden_vectors(SPEC).copy()
    wrong[1, 7] += 0.0011
    monkeypatch.setattr(reference, "build", lambda *_: a_model_that_answers(wrong))
    with pytest.raises(ModelMismatch, match=r"^MODEL_MISMATCH: the reference differs by 0\.0011"):
        prepare.prepare(SPEC, PREPROCESSING, settings.lake, Path("nowhere"))
    assert exported == []
    assert list(storage.list_objects(f"{settings.lake}/models")) == []


@pytest.mark.parametrize("name", engines.NAMES)
def test_an_engine_that_differs_from_the_reference_is_refused_and_leaves_no_model(
    settings: Settings, exported: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    golden = reference.kept_golden_vectors(SPEC)
    monkeypatch.setattr(reference, "build", lambda *_: a_model_that_answers(golden))

    def load(engine: str, _: object) -> object:
        return SimpleNamespace(features=lambda pixels: golden + np.float32(0.0011 if engine == name else 0))

    monkeypatch.setattr(engines, "load", load)
    with pytest.raises(ModelMismatch, match=rf"^MODEL_MISMATCH: {name} differs by 0\.0011"):
        prepare.prepare(SPEC, PREPROCESSING, settings.lake, Path("nowhere"))
    assert exported == ["export"] * len(engines.NAMES)
    assert list(storage.list_objects(f"{settings.lake}/models")) == []
