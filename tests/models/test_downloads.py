"""The Keras project's own files: from one host, by https, and only with the digest that Keras has for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import downloads
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.spec import ModelSpec
from imagefeatures.models.weights import load_weights
from support.hostile_http import CLOSE, Site, certificate, raw, response, site

ADDRESS = "127.0.0.1"
TARGET = f"/{BACKBONES['resnet50'].weights}"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server in place of Keras' host."""
    context, authority = certificate(tmp_path, ADDRESS)
    context.set_alpn_protocols(["http/1.1"])
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setenv("NO_PROXY", ADDRESS)
    with site(ADDRESS, tls=context) as server:
        monkeypatch.setattr(downloads, "KERAS_HOST", server.url())
        yield server


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    with h5py.File(tmp_path / "official.h5", "w") as file:
        file.attrs["layer_names"] = np.array([b"conv"])
        file.create_group("conv").attrs["weight_names"] = np.array([b"kernel:0"])
        file["conv/kernel:0"] = np.arange(6, dtype="<f4")
    return (tmp_path / "official.h5").read_bytes()


def model(data: bytes, sha256: bool = False) -> ModelSpec:
    """ResNet50, if this were its file."""
    found = hashlib.sha256(data) if sha256 else hashlib.md5(data, usedforsecurity=False)
    return BACKBONES["resnet50"].model_copy(update={"weights_hash": found.hexdigest()})


@pytest.mark.parametrize("sha256", [False, True])
def test_a_file_with_its_digest_is_read_and_kept(sha256: bool, host: Site, data: bytes, tmp_path: Path) -> None:
    host.behaviours[TARGET] = response(200, data, CLOSE)
    assert list(load_weights(model(data, sha256), tmp_path / "cache")) == ["conv"]
    assert (tmp_path / "cache" / "weights" / "resnet50.h5").read_bytes() == data
    assert list(load_weights(model(data, sha256), tmp_path / "cache")) == ["conv"]
    assert len(host.requests) == 1


def test_what_is_not_that_file_is_neither_parsed_nor_kept(
    host: Site, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = model(data)
    monkeypatch.setattr(h5py, "File", lambda *_: pytest.fail("h5py has opened it"))
    answers = {
        response(200, data[:-1] + b"x", CLOSE): r"has digest \w{32}, and Keras knows it with \w{32}",
        response(200, data[:-1], CLOSE | {"Content-Length": str(len(data))}): r"has digest \w{32}",
        response(404, b"", CLOSE): r"HTTP Error 404",
        response(302, b"", CLOSE | {"Location": host.url("/elsewhere")}): r"HTTP Error 302",
        response(301, b"", CLOSE | {"Location": "file:///etc/hostname"}): r"HTTP Error 301",
    }
    for answer, says in answers.items():
        host.behaviours = {TARGET: answer, "/elsewhere": response(200, data, CLOSE)}
        with pytest.raises(ModelMismatch, match=rf"^no weights for resnet50: .*\(the Keras host: [^\n]*{says}"):
            load_weights(spec, tmp_path / "cache")
    host.behaviours = {TARGET: raw(b"nonsense\r\n\r\n")}
    with pytest.raises(ModelMismatch, match=r"BadStatusLine"):
        load_weights(spec, tmp_path / "cache")
    assert host.asked("/elsewhere") == []
    assert not (tmp_path / "cache").exists()


def test_a_file_above_the_limit_is_not_read_to_its_end(
    host: Site, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.behaviours[TARGET] = response(200, data, CLOSE)
    monkeypatch.setattr(downloads, "MOST_BYTES", len(data) - 1)
    with pytest.raises(ModelMismatch, match=rf"has more than {len(data) - 1} bytes"):
        load_weights(model(data), tmp_path / "cache")


def test_a_host_without_its_certificate_is_refused(
    host: Site, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    host.behaviours[TARGET] = response(200, data, CLOSE)
    with pytest.raises(ModelMismatch, match=r"CERTIFICATE_VERIFY_FAILED"):
        load_weights(model(data), tmp_path / "cache")


def test_nothing_is_asked_for_without_https(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with site(ADDRESS, {TARGET: response(200, data, CLOSE)}) as server:
        monkeypatch.setattr(downloads, "KERAS_HOST", server.url())
        with pytest.raises(ModelMismatch, match=r"/resnet50\S+ is not https\)$"):
            load_weights(model(data), tmp_path / "cache")
        assert server.requests == []


def test_a_file_of_unknown_digest_is_named_and_not_downloaded(host: Site, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match=r"put the Keras file mobilenet_1_0_224_tf_no_top\.h5 at \S+/mobilenet\.h5"):
        load_weights(BACKBONES["mobilenet"], tmp_path)
    assert host.requests == []
