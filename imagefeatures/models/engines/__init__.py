"""Engines: pixels to vectors. All give the reference's numbers (see `prepare`), at different speeds.

openvino    the default on CPUs: one thread, one image at a time, so that one worker for each core scales
tensorflow  the reference's own runtime, on a GPU if it sees one
serving     a model that a server computes: imagefeatures.models.serving

Each of the first two is a module with `export(model, spec) -> {file name: bytes}`, which turns the Keras model into the
files of the engine, and `load(bundle) -> Engine`. The third has no files: it is loaded with what the dataset file says.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import reference
from imagefeatures.models.serving.declared import ServedEngine

if TYPE_CHECKING:
    from imagefeatures.models.spec import ModelSpec

NAMES = ("openvino", "tensorflow")
GOLDEN_FILE = "golden.npy"
"""The reference's vectors of the golden pictures: every worker checks its engine with them."""


@dataclass(frozen=True)
class Bundle:
    """The engine-ready files of one fingerprint: small enough (23 MB) to send to every worker.

    files: name to bytes; the files of all engines, and GOLDEN_FILE.
    """

    fingerprint: str
    spec: ModelSpec
    files: Mapping[str, bytes]

    @property
    def golden_vectors(self) -> np.ndarray:
        """The reference's vectors of `reference.golden_inputs`: float32 [4, width]."""
        vectors: np.ndarray = np.load(io.BytesIO(self.files[GOLDEN_FILE]), allow_pickle=False)
        return vectors


def names_for(spec: ModelSpec) -> tuple[str, ...]:
    """The engines that can run a model: Keras' own runtime reads no other formats than Keras'."""
    return NAMES if reference_of(spec) == "keras" else ("openvino",)


def reference_of(spec: ModelSpec) -> str:
    """Whose numbers the golden vectors are: of Keras; of OpenVINO for the formats that it reads itself; of a server."""
    if spec.format == "served":
        return "server"
    return "keras" if spec.format in ("keras-applications", "weights.h5", "h5", "keras") else "openvino"


class Engine(Protocol):
    """A loaded model."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: of the spec's input_type, [n, height, width, channels]. Returns float32 [n, width]."""
        ...


class LazyEngine:
    """Loads an engine on first use: a shard of reused vectors never pays for it."""

    def __init__(self, load: Callable[[], Engine]) -> None:
        self._load = load

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return self._load().features(pixels)


_loaded: dict[tuple[str | ServedEngine, str], Engine] = {}


def cached(name: str | ServedEngine, bundle: Bundle) -> Engine:
    """The engine, loaded once in this process: Spark reuses its Python workers for many shards."""
    key = (name, bundle.fingerprint)
    if key not in _loaded:
        _loaded[key] = load(name, bundle)
    return _loaded[key]


def load(name: str | ServedEngine, bundle: Bundle) -> Engine:
    """Load an engine by what the dataset file says, and verify it on this machine.

    The model step has verified it, but perhaps on a machine without this one's GPU, or before a server had another
    model. Raises ModelMismatch when the
    width or the golden vectors are not the model's.
    """
    engine: Engine
    if isinstance(name, ServedEngine):
        from imagefeatures.models.engines import serving

        engine, name = serving.load(bundle, name), f"the model server at {name}"
    else:
        engine = module(name).load(bundle)
    vectors = engine.features(reference.golden_inputs(bundle.spec))
    if (width := vectors.shape[1]) != bundle.spec.width:
        raise ModelMismatch(
            f"MODEL_MISMATCH: {name} gives vectors of {width} values, the table holds {bundle.spec.width}"
        )
    reference.check_parity(name, vectors, bundle.golden_vectors, by_size=bundle.spec.is_own)
    return engine


def module(name: str) -> ModuleType:
    """The module of an engine, imported by name, so that the libraries of an unused engine are not loaded."""
    if name not in NAMES:
        raise ValueError(f"there is no engine {name!r}, only {', '.join(NAMES)}")
    return importlib.import_module(f"{__name__}.{name}")
