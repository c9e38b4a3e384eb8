"""What becomes a model of the lake, and what never does: numbers that differ from those of the package."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.models import engines, mobilenet, prepare, prepared, reference
from imagefeatures.settings import Settings
from support.shared import PREPROCESSING, SPEC


def a_model_that_answers(vectors: np.ndarray) -> object:
    """A Keras model. As long as it is trained it has other numbers, and it takes pixels from -1 to 1."""
    golden = reference.golden_pixels(SPEC.input_shape) / 127.5 - 1

    def answer(pixels: np.ndarray, training: bool) -> object:
        (index,) = (index for index in range(4) if np.abs(golden[index] - pixels[0]).max() < 1e-6)
        return SimpleNamespace(numpy=lambda: vectors[index : index + len(pixels)] + np.float32(training))

    return answer


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No weights are read. Keras makes the model; what engines export is only noted, and is what it answers."""
    asked: list[str] = []
    monkeypatch.setattr(prepare, "load_weights", lambda *_: {})
    monkeypatch.setattr(mobilenet, "is_of", lambda _: False)  # as of every other model
    export = lambda *_: asked.append("export") or {"model.bin": b"x"}  # noqa: E731
    monkeypatch.setattr(engines, "module", lambda name: SimpleNamespace(export=export))
    return asked


def test_a_model_is_written_with_what_was_measured_and_is_not_made_a_second_time(
    settings: Settings, tmp_path: Path, exported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    golden, fingerprint = reference.kept_golden_vectors(SPEC), SPEC.fingerprint(PREPROCESSING)
    monkeypatch.setattr(reference, "build", lambda *_: a_model_that_answers(golden))
    bundles: list[engines.Bundle] = []

    def load(_: str, bundle: engines.Bundle) -> object:
        bundles.append(bundle)
        return SimpleNamespace(features=lambda pixels: golden[: len(pixels)])

    monkeypatch.setattr(engines, "load", load)
    facts = prepare.prepare(SPEC, PREPROCESSING, settings.lake, tmp_path)
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
    assert prepare.prepare(SPEC, PREPROCESSING, settings.lake, tmp_path) == facts
    assert exported == []


def test_a_model_that_the_package_has_no_golden_vectors_of_is_its_own_reference(
    settings: Settings, tmp_path: Path, exported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SPEC.model_copy(update={"name": "other"})
    vectors = np.ones((4, 1280), np.float32)
    monkeypatch.setattr(reference, "build", lambda *_: a_model_that_answers(vectors))
    monkeypatch.setattr(engines, "load", lambda *_: SimpleNamespace(features=lambda _: vectors))
    assert prepare.prepare(other, PREPROCESSING, settings.lake, tmp_path)["model"] == "other"
    bundle = prepare.read_bundle(other, PREPROCESSING, settings.lake)
    assert np.array_equal(bundle.golden_vectors, vectors)


def test_a_reference_that_does_not_give_the_golden_vectors_is_refused_before_an_engine_is_made(
    settings: Settings, tmp_path: Path, exported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = reference.kept_golden_vectors(SPEC).copy()
    wrong[1, 7] += 0.0011
    monkeypatch.setattr(reference, "build", lambda *_: a_model_that_answers(wrong))
    with pytest.raises(ModelMismatch, match=r"^MODEL_MISMATCH: the reference differs by 0\.0011"):
        prepare.prepare(SPEC, PREPROCESSING, settings.lake, tmp_path)
    assert exported == []
    assert list(storage.list_objects(f"{settings.lake}/models")) == []


@pytest.mark.parametrize("name", engines.NAMES)
def test_an_engine_that_differs_from_the_reference_is_refused_and_leaves_no_model(
    settings: Settings, tmp_path: Path, exported: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    golden = reference.kept_golden_vectors(SPEC)
    monkeypatch.setattr(reference, "build", lambda *_: a_model_that_answers(golden))

    def load(engine: str, _: object) -> object:
        return SimpleNamespace(features=lambda pixels: golden + np.float32(0.0011 if engine == name else 0))

    monkeypatch.setattr(engines, "load", load)
    with pytest.raises(ModelMismatch, match=rf"^MODEL_MISMATCH: {name} differs by 0\.0011"):
        prepare.prepare(SPEC, PREPROCESSING, settings.lake, tmp_path)
    assert exported == ["export"] * len(engines.NAMES)
    assert list(storage.list_objects(f"{settings.lake}/models")) == []


@pytest.fixture
def kept(settings: Settings, exported: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A cache folder `tmp_path` with a prepared model, and a lake without it. Returns the engines that were loaded."""
    golden, loaded = reference.kept_golden_vectors(SPEC), []
    monkeypatch.setattr(reference, "build", lambda *_: a_model_that_answers(golden))
    load = lambda name, _: loaded.append(name) or SimpleNamespace(features=lambda pixels: golden)  # noqa: E731
    monkeypatch.setattr(engines, "load", load)
    prepare.prepare(SPEC, PREPROCESSING, settings.lake, tmp_path)
    storage.delete_folder(f"{settings.lake}/models")
    exported.clear()
    loaded.clear()
    return loaded


def test_a_fresh_lake_gets_the_model_of_the_cache_folder_and_no_tensorflow(
    kept: list[str], exported: list[str], settings: Settings, tmp_path: Path
) -> None:
    facts = prepare.prepare(SPEC, PREPROCESSING, settings.lake, tmp_path)
    assert (exported, kept) == ([], ["openvino"])
    bundle = prepare.read_bundle(SPEC, PREPROCESSING, settings.lake)
    assert facts["sha256"] == {name: hashlib.sha256(data).hexdigest() for name, data in bundle.files.items()}
    assert set(facts["sha256"]) == {"golden.npy", "model.bin"}


@pytest.mark.parametrize("spoil", ["a file", "a file less", "model.json", "other software", "other golden vectors"])
def test_a_model_of_the_cache_folder_that_is_not_as_it_was_is_made_anew(
    spoil: str, kept: list[str], exported: list[str], settings: Settings, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (folder,) = (tmp_path / "prepared").iterdir()
    if spoil == "a file":
        (folder / "model.bin").write_bytes(b"y")
    elif spoil == "a file less":
        (folder / "model.bin").unlink()
    elif spoil == "model.json":
        (folder / "model.json").write_bytes(b"{")
    elif spoil == "other software":
        monkeypatch.setattr(prepared, "_made_by", lambda: "0" * 16)
    else:  # of somebody who can write digests too
        data = io.BytesIO()
        np.save(data, np.ones((4, 1280), np.float32))
        (folder / "golden.npy").write_bytes(data.getvalue())
        facts = json.loads((folder / "model.json").read_text())
        facts["sha256"]["golden.npy"] = hashlib.sha256(data.getvalue()).hexdigest()
        (folder / "model.json").write_text(json.dumps(facts))
    prepare.prepare(SPEC, PREPROCESSING, settings.lake, tmp_path)
    assert exported == ["export"] * len(engines.NAMES)
    assert np.array_equal(prepare.read_bundle(SPEC, PREPROCESSING, settings.lake).golden_vectors, GOLDEN)
    storage.delete_folder(f"{settings.lake}/models")
    exported.clear()
    prepare.prepare(SPEC, PREPROCESSING, settings.lake, tmp_path)
    assert exported == []  # what was made anew has taken its place


GOLDEN = reference.kept_golden_vectors(SPEC)


def test_the_cache_folder_keeps_the_models_that_were_used_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "KEPT", 2)
    digest = {"a": hashlib.sha256(b"a").hexdigest()}
    for number in range(3):
        prepared.keep(tmp_path, {"fingerprint": f"f{number}", "sha256": digest}, {"a": b"a"})
        for old, folder in enumerate(sorted((tmp_path / "prepared").iterdir())):
            os.utime(folder, (old, old))
        if number == 1:
            assert prepared.read(tmp_path, "f0") is not None  # and so it is younger than f1
    assert [path.name[:2] for path in sorted((tmp_path / "prepared").iterdir())] == ["f0", "f2"]
    assert prepared.read(tmp_path, "f1") is None


def test_a_cache_folder_that_cannot_be_written_costs_nothing_but_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "prepared").write_bytes(b"a file")
    prepared.keep(tmp_path, {"fingerprint": "f", "sha256": {}}, {})
    assert f"the prepared model is not kept in {tmp_path}/prepared: " in caplog.text
    assert prepared.read(tmp_path, "f") is None
