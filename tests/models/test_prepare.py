from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.layout import model_folder
from imagefeatures.models import prepare
from imagefeatures.settings import Settings
from support.shared import MODEL, PREPROCESSING, SPEC

FINGERPRINT = SPEC.fingerprint(PREPROCESSING)


def facts(lake: str) -> dict:
    return json.loads(storage.read(f"{model_folder(lake, FINGERPRINT)}/model.json"))


def test_a_prepared_model_lies_in_the_lake_with_its_measurements(prepared_lake: str) -> None:
    found = facts(prepared_lake)
    assert (found["model"], found["fingerprint"], found["width"]) == (MODEL, FINGERPRINT, 1280)
    assert set(found["parity"]) == {"openvino"}
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


@pytest.fixture
def small_model(settings: Settings) -> str:
    """The test's own lake, with a prepared model whose files are a few bytes each."""
    files = {name: name.encode() for name in ("golden.npy", "model.bin", "model.xml", "weights.npz")}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    for name, data in (files | {"model.json": json.dumps({"sha256": digests}).encode()}).items():
        storage.write(f"{model_folder(settings.lake, FINGERPRINT)}/{name}", data)
    return settings.lake


def test_a_small_model_is_read_as_it_was_written(small_model: str) -> None:
    """Else the tests below would prove nothing."""
    bundle = prepare.read_bundle(SPEC, PREPROCESSING, small_model)
    assert {name.encode() for name in bundle.files} == set(bundle.files.values())
    assert len(bundle.files) == 4


@pytest.mark.parametrize("name", ["golden.npy", "model.bin", "model.xml", "weights.npz"])
def test_an_altered_file_is_refused_with_its_name(small_model: str, name: str) -> None:
    uri = f"{model_folder(small_model, FINGERPRINT)}/{name}"
    data = bytearray(storage.read(uri))
    data[len(data) // 2] ^= 1
    storage.write(uri, bytes(data))
    with pytest.raises(ModelMismatch, match=rf"^MODEL_MISMATCH: {uri} is not the file that was proven"):
        prepare.read_bundle(SPEC, PREPROCESSING, small_model)


@pytest.mark.parametrize("name", ["model.json", "model.bin"])
def test_an_incomplete_model_is_refused(small_model: str, name: str) -> None:
    Path(f"{model_folder(small_model, FINGERPRINT)}/{name}".removeprefix("file://")).unlink()
    with pytest.raises(ModelMismatch, match=r"^MODEL_MISMATCH: .* is not prepared .*; run the model task$"):
        prepare.read_bundle(SPEC, PREPROCESSING, small_model)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"sha256": {}}', b'{"sha256": 7}', b"\xff"])
def test_a_model_whose_facts_cannot_be_read_counts_as_none(small_model: str, content: bytes) -> None:
    storage.write(f"{model_folder(small_model, FINGERPRINT)}/model.json", content)
    with pytest.raises(ModelMismatch, match=r"^MODEL_MISMATCH: .* is not prepared .*; run the model task$"):
        prepare.read_bundle(SPEC, PREPROCESSING, small_model)


def test_a_damaged_model_is_made_anew(small_model: str, tmp_path: Path) -> None:
    storage.write(f"{model_folder(small_model, FINGERPRINT)}/model.bin", b"")
    weights = tmp_path / "weights" / f"{SPEC.name}.h5"
    weights.parent.mkdir()
    weights.write_bytes(b"none")  # so that it ends where it begins to make the model, which takes long
    with pytest.raises(ModelMismatch, match=rf"^{weights}: not a Keras HDF5 weights file"):
        prepare.prepare(SPEC, PREPROCESSING, small_model, tmp_path)
