"""Numbers that differ from those of the package never become a model of the lake."""

from __future__ import annotations

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
    return lambda pixels, training: SimpleNamespace(numpy=lambda: vectors)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No weights are read; what engines export is only noted, and is what the reference answers."""
    asked: list[str] = []
    monkeypatch.setattr(prepare, "load_weights", lambda *_: {})
    export = lambda *_: asked.append("export") or {"model.bin": b"x"}  # noqa: E731
    monkeypatch.setattr(engines, "module", lambda name: SimpleNamespace(export=export))
    return asked


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
