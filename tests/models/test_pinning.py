"""Weights whose digest the package does not know: taken at first use, and held to from then on."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.layout import weights_record
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.pinning import pinned
from imagefeatures.models.spec import ModelSpec
from imagefeatures.models.weights import cache_file, digest, load_weights
from support.shared import SPEC

KERNEL = np.arange(6, dtype="<f4")


def file_of(kernel: np.ndarray, path: Path) -> bytes:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"conv"])
        file.create_group("conv").attrs["weight_names"] = np.array([b"kernel:0"])
        file["conv/kernel:0"] = kernel
    return path.read_bytes()


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return f"file://{tmp_path}/lake"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache folder with weights for `spec`."""
    (tmp_path / "cache" / "weights").mkdir(parents=True)
    return tmp_path / "cache"


@pytest.fixture
def spec(cache: Path) -> ModelSpec:
    """A model that is known by the digest of its file, as Keras has it."""
    known = BACKBONES["resnet50"]
    data = file_of(KERNEL, cache_file(known, cache))
    return known.model_copy(update={"weights_hash": hashlib.md5(data, usedforsecurity=False).hexdigest()})


def test_the_digest_is_taken_from_the_first_file_and_recorded(spec: ModelSpec, lake: str, cache: Path) -> None:
    found = pinned(spec, lake, cache)
    assert found == spec.model_copy(update={"weights_sha256": digest({"conv": [KERNEL]})})
    record = f"{lake}/models/resnet50/weights.json"
    assert json.loads(storage.read(record)) == {"model": "resnet50", "weights_sha256": found.weights_sha256}
    shutil.rmtree(cache)
    assert pinned(spec, lake, cache) == found  # from the record
    assert pinned(found, lake, cache) == found


def test_a_model_whose_digest_is_known_needs_neither_file_nor_record(lake: str, tmp_path: Path) -> None:
    assert pinned(SPEC, lake, tmp_path / "none") == SPEC
    assert not storage.exists(weights_record(lake, SPEC.name))


def test_other_weights_are_refused_once_the_lake_holds_the_model_to_the_first(
    spec: ModelSpec, lake: str, cache: Path
) -> None:
    held = pinned(spec, lake, cache)
    other = held.model_copy(update={"weights_hash": None})
    path = cache_file(spec, cache)
    file_of(KERNEL + 1, path)
    with pytest.raises(ModelMismatch) as refused:
        load_weights(other, cache)
    assert str(refused.value) == (
        f"{path}: MODEL_MISMATCH: arrays have SHA-256 {digest({'conv': [KERNEL + 1]})}, "
        f"resnet50 is defined by {held.weights_sha256}"
    )


def test_a_file_in_the_cache_that_is_not_keras_own_is_refused_before_it_is_parsed(
    spec: ModelSpec, lake: str, cache: Path
) -> None:
    path = cache_file(spec, cache)
    path.write_bytes(b"no HDF5")
    with pytest.raises(ModelMismatch, match=rf"^{path}: MODEL_MISMATCH: has digest \w{{32}}, and the Keras file of "):
        pinned(spec, lake, cache)
    assert not storage.exists(weights_record(lake, spec.name))


def test_the_first_of_two_runs_wins(spec: ModelSpec, lake: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run writes its record after this one has looked for one."""
    record, other = weights_record(lake, spec.name), json.dumps({"weights_sha256": "a" * 64}).encode()
    write = storage.write

    def late(uri: str, data: bytes, *, only_if_absent: bool = False) -> bool:
        write(record, other)
        return write(uri, data, only_if_absent=only_if_absent)

    monkeypatch.setattr(storage, "write", late)
    assert pinned(spec, lake, cache).weights_sha256 == "a" * 64


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"weights_sha256": 7}', b'{"weights_sha256": "no"}'])
def test_a_damaged_record_is_refused_with_its_place(content: bytes, spec: ModelSpec, lake: str, cache: Path) -> None:
    record = weights_record(lake, spec.name)
    storage.write(record, content)
    with pytest.raises(ModelMismatch, match=rf"^MODEL_MISMATCH: {record} is damaged \([^\n]+\); put back a copy"):
        pinned(spec, lake, cache)


def test_a_file_that_a_user_names_is_read_from_its_uri_and_held_to_its_digest(
    spec: ModelSpec, lake: str, tmp_path: Path
) -> None:
    data = file_of(KERNEL * 2, tmp_path / "own.h5")
    changes = {"uri": f"file://{tmp_path}/own.h5", "sha256": hashlib.sha256(data).hexdigest(), "weights_hash": None}
    own = spec.model_copy(update=changes)
    found = pinned(own, lake, tmp_path / "none")
    assert found.weights_sha256 == digest({"conv": [KERNEL * 2]})
    assert storage.exists(f"{lake}/models/resnet50-{own.sha256[:16]}/weights.json")
    assert not storage.exists(weights_record(lake, spec.name))  # Keras' own are something else
    (tmp_path / "own.h5").write_bytes(data + b"x")
    with pytest.raises(ModelMismatch, match=rf"own\.h5: MODEL_MISMATCH: has SHA-256 \w{{64}}, and .* {own.sha256}$"):
        load_weights(found, tmp_path / "none")


def test_a_file_above_the_limit_is_not_read(
    spec: ModelSpec, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = spec.model_copy(update={"uri": cache_file(spec, cache).as_uri()})
    monkeypatch.setattr("imagefeatures.models.downloads.MOST_BYTES", 100)
    for too_large in (spec, own):
        with pytest.raises(ModelMismatch, match=r"has \d+ bytes, and weights have 100 at most"):
            load_weights(too_large, cache)
