from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.layout import model_folder
from imagefeatures.models import prepare, reference
from imagefeatures.preprocessing import Preprocessing
from support.shared import MODEL, PREPROCESSING, SPEC

FINGERPRINT = SPEC.fingerprint(PREPROCESSING)


def facts(lake: str) -> dict:
    return json.loads(storage.read(f"{model_folder(lake, FINGERPRINT)}/model.json"))


def test_a_prepared_model_lies_in_the_lake_with_its_measurements(prepared_lake: str) -> None:
    found = facts(prepared_lake)
    assert (found["model"], found["fingerprint"], found["width"]) == (MODEL, FINGERPRINT, 1280)
    assert set(found["parity"]) == {"openvino", "tensorflow"}
    for parity in found["parity"].values():
        assert 0 <= parity["max_absolute_difference"] <= 1e-3
        assert 0.99999 <= parity["min_cosine"] <= 1.000001
    folder = model_folder(prepared_lake, FINGERPRINT)
    assert storage.names(folder) == sorted(["model.json", *found["sha256"]])
    for name, sha256 in found["sha256"].items():
        assert hashlib.sha256(storage.read(f"{folder}/{name}")).hexdigest() == sha256


def test_each_part_of_it_is_told_with_its_seconds(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"), prepare._told("the weights"):
        assert caplog.messages == ["preparing the model: the weights …"]
    assert re.fullmatch(r"preparing the model: the weights: \d\.\d s", caplog.messages[-1])


def test_a_model_is_prepared_once(lake_with_model: str, tmp_path: Path) -> None:
    before = list(storage.list_objects(f"{lake_with_model}/models"))
    assert prepare.prepare(SPEC, PREPROCESSING, lake_with_model, tmp_path / "no cache") == facts(lake_with_model)
    assert list(storage.list_objects(f"{lake_with_model}/models")) == before
    assert not (tmp_path / "no cache").exists()


def test_the_bundle_is_what_was_prepared(prepared_lake: str) -> None:
    bundle = prepare.read_bundle(SPEC, PREPROCESSING, prepared_lake)
    assert (bundle.fingerprint, bundle.spec.width) == (FINGERPRINT, 1280)
    assert hashlib.sha256(bundle.files["model.bin"]).hexdigest() == facts(prepared_lake)["sha256"]["model.bin"]


@pytest.mark.parametrize("name", ["golden.npy", "model.bin", "model.xml", "weights.npz"])
def test_an_altered_file_is_refused_with_its_name(lake_with_model: str, name: str) -> None:
    uri = f"{model_folder(lake_with_model, FINGERPRINT)}/{name}"
    data = bytearray(storage.read(uri))
    data[len(data) // 2] ^= 1
    storage.write(uri, bytes(data))
    with pytest.raises(ModelMismatch, match=rf"^MODEL_MISMATCH: {uri} is not the file that was proven"):
        prepare.read_bundle(SPEC, PREPROCESSING, lake_with_model)


@pytest.mark.parametrize("name", ["model.json", "model.bin"])
def test_an_incomplete_model_is_refused(lake_with_model: str, name: str) -> None:
    Path(f"{model_folder(lake_with_model, FINGERPRINT)}/{name}".removeprefix("file://")).unlink()
    with pytest.raises(ModelMismatch, match=r"^MODEL_MISMATCH: .* is not prepared .*; run the model task$"):
        prepare.read_bundle(SPEC, PREPROCESSING, lake_with_model)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"sha256": {}}', b'{"sha256": 7}', b"\xff"])
def test_a_model_whose_facts_cannot_be_read_counts_as_none(lake_with_model: str, content: bytes) -> None:
    storage.write(f"{model_folder(lake_with_model, FINGERPRINT)}/model.json", content)
    with pytest.raises(ModelMismatch, match=r"^MODEL_MISMATCH: .* is not prepared .*; run the model task$"):
        prepare.read_bundle(SPEC, PREPROCESSING, lake_with_model)


def test_a_damaged_model_is_made_anew(lake_with_model: str, tmp_path: Path) -> None:
    storage.write(f"{model_folder(lake_with_model, FINGERPRINT)}/model.bin", b"")
    weights = tmp_path / "weights" / f"{SPEC.name}.h5"
    weights.parent.mkdir()
    weights.write_bytes(b"none")  # so that it ends where it begins to make the model, which takes long
    with pytest.raises(ModelMismatch, match=rf"^{weights}: not a Keras HDF5 weights file"):
        prepare.prepare(SPEC, PREPROCESSING, lake_with_model, tmp_path)


def test_vectors_within_the_tolerances_pass() -> None:
    expected = np.random.default_rng(5).random((4, 1280), np.float32)
    found = reference.check_parity("engine", expected + np.float32(0.0009), expected)
    assert found["max_absolute_difference"] == pytest.approx(0.0009, rel=1e-2)
    assert reference.check_parity("engine", expected, expected)["max_absolute_difference"] == 0


def off_by_a_little(expected: np.ndarray) -> np.ndarray:
    found = expected.copy()
    found[2, 77] += 0.0011
    return found


def turned_by_a_little(expected: np.ndarray) -> np.ndarray:
    # Small vectors: each value is close, the direction differs.
    found = expected.copy()
    found[1] = found[1, ::-1]
    return found


def with_a_hole(expected: np.ndarray) -> np.ndarray:
    found = expected.copy()
    found[3, 5] = np.nan
    return found


@pytest.mark.parametrize(
    ("spoil", "scale"),
    [(off_by_a_little, 1.0), (turned_by_a_little, 5e-4), (with_a_hole, 1.0)],
    ids=lambda v: str(v)[:20],
)
def test_vectors_beyond_a_tolerance_are_refused(spoil, scale: float) -> None:
    expected = np.random.default_rng(5).random((4, 1280), np.float32) * np.float32(scale)
    with pytest.raises(
        ModelMismatch, match=r"^MODEL_MISMATCH: openvino differs by .*, cosine .* \(at least 0\.99999\)$"
    ):
        reference.check_parity("openvino", spoil(expected), expected)


def test_the_fingerprint_changes_with_everything_that_changes_the_numbers() -> None:
    changes = {"name": "other", "cut": "other", "weights_sha256": "0" * 64}
    changed = [SPEC.model_copy(update={key: value}).fingerprint(PREPROCESSING) for key, value in changes.items()]
    changed.append(SPEC.fingerprint(PREPROCESSING.model_copy(update={"version": PREPROCESSING.version + 1})))
    changed.append(SPEC.fingerprint(Preprocessing.standard(224, 192)))
    assert len({SPEC.fingerprint(PREPROCESSING), *changed}) == 6


def test_the_fingerprint_is_the_same_on_every_machine() -> None:
    """If this fails, the fingerprint has changed: new vectors are not comparable with those of older runs."""
    assert FINGERPRINT == "63e4fab4295764c4c5a908f0aaaec921"


def test_golden_pictures_are_the_same_on_every_machine() -> None:
    pixels = reference.golden_pixels(SPEC.input_shape)
    assert (pixels.shape, pixels.dtype) == ((4, 224, 224, 3), np.uint8)
    assert hashlib.sha256(pixels.tobytes()).hexdigest()[:16] == "2e0af8b11199b888"


def test_scaling_is_that_of_keras() -> None:
    from keras.applications.mobilenet_v2 import preprocess_input

    shades = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    assert np.array_equal(reference.scaled(shades, SPEC.value_scale), preprocess_input(shades.astype(np.float32)))
    assert (reference.scaled(shades, SPEC.value_scale).min(), reference.scaled(shades, SPEC.value_scale).max()) == (
        -1,
        1,
    )
