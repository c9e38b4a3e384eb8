"""A shard of any step, and the model of a local run: prepared in silence, and loaded once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import step_runner
from imagefeatures.errors import ModelMismatch
from imagefeatures.models import engines
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import featurize, ingest, resize, validate
from support.photos import fill
from support.shared import SPEC, ColourEngine, MakeRun


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path) -> Run:
    return make_run(fill(tmp_path / "photos", {"1.jpg": b"x"}))


def test_each_step_gets_what_it_needs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    for module in (ingest, validate, resize, featurize):
        monkeypatch.setattr(module, "run_shard", lambda *given: called.append(given[2:]) or given[:2])
    engine, decoder = ColourEngine(), object()
    work = step_runner.StepRunner(engine, decoder)
    assert [work(run, step, 3) for step in ("ingest", "validate", "resize", "featurize")] == [(run, 3)] * 4
    assert called == [(), (), (decoder,), (engine,)]


def test_the_model_is_loaded_once_for_each_engine_and_not_for_a_shard_without_pixels(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []
    monkeypatch.setattr(step_runner, "_engines", {})
    monkeypatch.setattr(step_runner, "read_bundle", lambda *given: read.append(given) or engines.Bundle("f", SPEC, {}))
    monkeypatch.setattr(engines, "cached", lambda name, bundle: (name, bundle.fingerprint))
    monkeypatch.setattr(featurize, "run_shard", lambda run, shard, engine: engine)
    lazy = step_runner.StepRunner()(run, "featurize", 0)
    assert isinstance(lazy, engines.LazyEngine)
    assert read == []
    assert [step_runner._engine_of(run) for _ in range(2)] == [("openvino", "f")] * 2
    assert read == [(run.model, run.preprocessing, run.lake)]
    other = run.model_copy(update={"dataset": run.dataset.model_copy(update={"engine": "tensorflow"})})
    assert step_runner._engine_of(other) == ("tensorflow", "f")


@pytest.mark.parametrize("error", [None, ModelMismatch("other weights")])
def test_what_tensorflow_writes_without_logging_is_not_seen(
    run: Run, settings: Settings, error: Exception | None, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    prepared: list[Any] = []

    def prepare(*given: Any) -> None:
        prepared.append(given)
        os.write(2, b"a banner\n")
        if error:
            raise error

    monkeypatch.setattr(step_runner, "prepare", prepare)
    before = len(list(Path("/proc/self/fd").iterdir()))
    if error:
        with pytest.raises(ModelMismatch, match="other weights"):
            step_runner.prepare_model(run, settings)
    else:
        step_runner.prepare_model(run, settings)
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert prepared == [(run.model, run.preprocessing, run.lake, settings.cache, run.dataset.engine)]
