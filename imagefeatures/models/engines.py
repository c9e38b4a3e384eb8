"""Engines: pixels to vectors. All give the reference's numbers (see `prepare`), at different speeds.

openvino    the default on CPUs: one thread, one image at a time, so that one worker a core scales
tensorflow  the reference's own runtime, on a GPU where it sees one
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import gpus, reference


@dataclass(frozen=True)
class Bundle:
    """The engine-ready files of one fingerprint, as bytes: small enough (23 MB) to send to every worker."""

    fingerprint: str
    width: int
    weights_npz: bytes
    openvino_xml: bytes
    openvino_bin: bytes


class Engine(Protocol):
    """A loaded model."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: uint8 [n, 224, 224, 3], RGB. Returns float32 [n, width]."""
        ...


class OnDemand:
    """An engine that is loaded when it is first used: who has no pixels does not wait for it."""

    def __init__(self, load: Callable[[], Engine]) -> None:
        self._load = load

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return self._load().features(pixels)


_loaded: dict[tuple[str, str], Engine] = {}


def cached(name: str, bundle: Bundle) -> Engine:
    """The engine, loaded once in this process: Spark reuses its Python workers for many shards."""
    key = (name, bundle.fingerprint)
    if key not in _loaded:
        _loaded[key] = load(name, bundle)
    return _loaded[key]


def load(name: str, bundle: Bundle) -> Engine:
    """Load an engine by its name in the dataset file, and prove it on this machine.

    The model step has proven it on another one, perhaps without this one's GPU. Raises ModelMismatch when the
    width or the golden vectors are not the model's.
    """
    engine: Engine = {"openvino": OpenVino, "tensorflow": TensorFlow}[name](bundle)
    found = engine.features(reference.golden_pixels())
    if (width := found.shape[1]) != bundle.width:
        raise ModelMismatch(f"MODEL_MISMATCH: {name} gives vectors of {width} values, the table holds {bundle.width}")
    reference.check_parity(name, found, reference.golden_vectors())
    return engine


class OpenVino:
    """OpenVINO on the CPU in float32."""

    SETTINGS = {  # noqa: RUF012 - never changed
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",  # bf16, the default where the CPU has it, is wrong by up to 0.1 in cosine
        "ENABLE_CPU_PINNING": False,  # pinned, all workers of a machine sit on the same core
    }

    def __init__(self, bundle: Bundle) -> None:
        core = _openvino_core()
        model = core.read_model(model=bundle.openvino_xml, weights=bundle.openvino_bin)
        compiled = core.compile_model(model, "CPU", self.SETTINGS)
        self._request = compiled.create_infer_request()
        self._width = compiled.output(0).shape[1]

    def features(self, pixels: np.ndarray) -> np.ndarray:
        vectors = np.empty((len(pixels), self._width), np.float32)
        for at in range(len(pixels)):
            vectors[at] = self._request.infer({0: pixels[at : at + 1]}, share_inputs=True, share_outputs=True)[0][0]
        return vectors


class TensorFlow:
    """Keras on TensorFlow, compiled once for a fixed batch (`predict` in a loop retraces and leaks).

    On a GPU the batch is sized to its memory. One that is too large all the same is halved, and stays so: what was
    computed before is kept. Raises TensorFlow's ResourceExhaustedError when there is no memory for a single image.
    """

    BATCH = 32
    """Images at once on a CPU."""

    def __init__(self, bundle: Bundle) -> None:
        with np.load(io.BytesIO(bundle.weights_npz), allow_pickle=False) as stored:
            arrays: dict[str, list[np.ndarray]] = {}
            for name in stored.files:  # "<layer>/<position>", in order
                arrays.setdefault(name.rpartition("/")[0], []).append(stored[name])
        model = reference.build(arrays)
        import tensorflow as tf

        self._exhausted = tf.errors.ResourceExhaustedError
        self._run = tf.function(lambda x: model(x, training=False))  # compiled again only for a smaller batch
        self._width = model.output_shape[1]
        self.batch = gpus.batch(self.BATCH)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        vectors = np.empty((len(pixels), self._width), np.float32)
        at = 0
        while at < len(pixels):
            part = pixels[at : at + self.batch]
            try:
                vectors[at : at + len(part)] = self._vectors(part)
            except self._exhausted:
                if self.batch == 1:
                    raise
                self.batch //= 2
            else:
                at += len(part)
        return vectors

    def _vectors(self, part: np.ndarray) -> np.ndarray:
        """part: at most a batch of pixels; what is missing is filled up, so that one compiled shape does for all."""
        padded = np.zeros((self.batch, *part.shape[1:]), np.float32)
        padded[: len(part)] = reference.scaled(part)
        return self._run(padded).numpy()[: len(part)]


@lru_cache(1)
def _openvino_core():  # type: ignore[no-untyped-def]
    import openvino

    return openvino.Core()
