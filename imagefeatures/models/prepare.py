"""The model step: turns weights into engine-ready files in the lake, once for each fingerprint.

Before a file is written, every engine must reproduce the reference on the golden pictures, and the reference must
reproduce the golden vectors of the package. `model.json` is written last: a folder without it is not used. A model
whose files have changed is made anew. What was made is kept in the cache folder too, for other lakes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.layout import model_facts, model_folder
from imagefeatures.models import engines, mobilenet, prepared, reference
from imagefeatures.models.engines import GOLDEN_FILE, Bundle, openvino, tensorflow
from imagefeatures.models.hdf5 import Arrays
from imagefeatures.models.own import files as own_files
from imagefeatures.models.own import process
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.models.spec import ModelSpec
from imagefeatures.models.weights import load_weights
from imagefeatures.preprocessing import Preprocessing

log = logging.getLogger(__name__)

PREPARING = "preparing the model: "
"""How the lines about it begin, by which they are found in the log of a task."""


def prepare(
    spec: ModelSpec, preprocessing: Preprocessing, lake: str, cache: Path, engine: str | ServedEngine = "openvino"
) -> dict[str, Any]:
    """Make sure that the lake holds the model, verified. Returns the content of model.json: what was measured.

    engine: of the dataset file. Those of this machine are all prepared, whichever is named. All are proven, but for
    the default model only the one that is named and OpenVINO: TensorFlow is not imported for nothing, and whoever loads
    it proves it. Of a served model the server is asked. Raises ModelMismatch when the weights or an engine's numbers
    are wrong; as the engine itself.
    """
    fingerprint = spec.fingerprint(preprocessing)
    folder = model_folder(lake, fingerprint)
    with contextlib.suppress(ModelMismatch):  # else it is made, or made anew
        return _read_proven(folder)[0]
    if isinstance(engine, ServedEngine):
        from imagefeatures.models.serving import settle  # loads urllib3, which no other engine needs

        bundle = Bundle(fingerprint, spec, {GOLDEN_FILE: settle.recorded(spec, lake)})
        return _write(lake, *_of_server(engine, bundle, cache))
    if (known := prepared.read(cache, fingerprint)) and _still_right(spec, Bundle(fingerprint, spec, known[1])):
        return _write(lake, *known)
    names = engines.names_for(spec)
    kept = reference.kept_golden_vectors(spec)
    if kept is not None and mobilenet.is_of(spec):
        files = _without_keras(spec, cache) | {GOLDEN_FILE: _as_npy(kept)}
        names = tuple(name for name in names if name in ("openvino", engine))
    elif spec.format == "keras-applications":
        files = _of_backbone(spec, cache)
    else:
        with _told(f"reading {spec.uri} in a process of its own, and converting it"):
            files = process.build(spec, own_files.read(str(spec.uri), spec.format, spec.sha256))
    facts = _proven(Bundle(fingerprint, spec, files), names)
    prepared.keep(cache, facts, files)
    return _write(lake, facts, files)


def read_bundle(spec: ModelSpec, preprocessing: Preprocessing, lake: str) -> Bundle:
    """The prepared files. Raises ModelMismatch when one is missing, or is not the file that was verified."""
    fingerprint = spec.fingerprint(preprocessing)
    return Bundle(fingerprint, spec, _read_proven(model_folder(lake, fingerprint))[1])


def _without_keras(spec: ModelSpec, cache: Path) -> dict[str, bytes]:
    """The files of both engines, from the weights alone."""
    weights = _weights(spec, cache)
    with _told(f"building {spec.name} for {' and '.join(engines.NAMES)}"):
        return openvino.as_files(mobilenet.graph(weights, spec), spec) | tensorflow.as_file(weights)


def _weights(spec: ModelSpec, cache: Path) -> Arrays:
    with _told(f"the weights of {spec.name}, from {cache} or downloaded into it"):
        return load_weights(spec, cache)


def _of_backbone(spec: ModelSpec, cache: Path) -> dict[str, bytes]:
    """The files of both engines, and the golden vectors, of a model by name."""
    model, golden = _reference(spec, cache)
    files = {GOLDEN_FILE: _as_npy(golden)}
    with _told(f"converting it for {' and '.join(engines.NAMES)}"):
        for name in engines.NAMES:
            files |= engines.module(name).export(model, spec)
    return files


def _reference(spec: ModelSpec, cache: Path) -> tuple[Any, np.ndarray]:
    """A model by name in Keras, and its vectors of the golden pictures."""
    weights = reference.as_in_imagenet(spec, _weights(spec, cache))
    with _told("the reference in Keras"):
        model = reference.build(spec, weights)
        golden = reference.vectors(model, spec, reference.golden_inputs(spec))
        if (kept := reference.kept_golden_vectors(spec)) is not None:
            reference.check_parity("the reference", golden, kept)
    return model, golden


def _of_server(engine: ServedEngine, bundle: Bundle, cache: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What is kept of a served model: model.json, and the server's golden vectors.

    A model that the dataset file names, or whose file it names, is a promise: the server's vectors must be its vectors.
    """
    spec, parity = bundle.spec, {}
    with _told(f"asking the model server at {engine}"):
        vectors = engines.load(engine, bundle).features(reference.golden_inputs(spec))
    if spec.format != "served":
        parity["server"] = reference.check_parity(
            f"the model server at {engine}, which is to compute {spec.name},", vectors, _promised(spec, cache),
            by_size=spec.is_own,
        )  # fmt: skip
    return _facts(bundle, parity), dict(bundle.files)


def _promised(spec: ModelSpec, cache: Path) -> np.ndarray:
    """The reference's vectors of the golden pictures, of a model whose weights are here: float32 [4, width]."""
    if (kept := reference.kept_golden_vectors(spec)) is not None:
        return kept
    if not spec.is_own:
        return _reference(spec, cache)[1]
    with _told(f"reading {spec.uri} in a process of its own"):
        files = process.build(spec, own_files.read(str(spec.uri), spec.format, spec.sha256))
    return Bundle("", spec, files).golden_vectors


def _proven(bundle: Bundle, names: Sequence[str]) -> dict[str, Any]:
    """The content of model.json. Raises ModelMismatch when one of the engines does not give the golden vectors."""
    spec, parity, pixels = bundle.spec, {}, reference.golden_inputs(bundle.spec)
    for name in names:
        with _told(f"checking {name} against the reference"):
            vectors = engines.load(name, bundle).features(pixels)
            parity[name] = reference.check_parity(name, vectors, bundle.golden_vectors, by_size=spec.is_own)
    return _facts(bundle, parity)


def _facts(bundle: Bundle, parity: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The content of model.json. parity: of each engine with the reference."""
    return {
        "model": bundle.spec.name,
        "fingerprint": bundle.fingerprint,
        "width": bundle.spec.width,
        "reference": engines.reference_of(bundle.spec),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in bundle.files.items()},
        "parity": parity,
    }


def _still_right(spec: ModelSpec, bundle: Bundle) -> bool:
    """Whether a model of the cache folder gives its golden vectors here; of a model of the package, the package's."""
    with _told(f"{spec.name} of the cache folder, which has been prepared before"):
        try:
            if (kept := reference.kept_golden_vectors(spec)) is not None:
                reference.check_parity("the cache folder", bundle.golden_vectors, kept)
            engines.load("openvino", bundle)  # TensorFlow's check would take as long as all that is saved
        except (ModelMismatch, KeyError, ValueError) as error:
            log.warning("%snot as it was: %s", PREPARING, error)
            return False
    return True


def _write(lake: str, facts: dict[str, Any], files: dict[str, bytes]) -> dict[str, Any]:
    """Write a prepared model into the lake. Returns the facts."""
    for name, data in files.items():
        storage.write(f"{model_folder(lake, facts['fingerprint'])}/{name}", data)
    storage.write(model_facts(lake, facts["fingerprint"]), json.dumps(facts, indent=1).encode())
    return facts


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Log what is begun, and how long it took: together it may be minutes."""
    log.info("%s%s …", PREPARING, what)
    started = time.perf_counter()
    yield
    log.info("%s%s: %.1f s", PREPARING, what, time.perf_counter() - started)


def _read_proven(folder: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The content of model.json, and the files. Raises ModelMismatch as `read_bundle`."""
    try:
        facts: dict[str, Any] = json.loads(storage.read(f"{folder}/model.json"))
        digests = {GOLDEN_FILE: facts["sha256"][GOLDEN_FILE]} | facts["sha256"]  # older versions wrote none of these
        files = {name: storage.read(f"{folder}/{name}") for name in digests}
    except (storage.ObjectMissing, ValueError, KeyError, TypeError) as error:  # missing; empty or cut
        raise ModelMismatch(f"MODEL_MISMATCH: {folder} is not prepared ({error}); run the model task") from None
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != digests[name]:
            raise ModelMismatch(f"MODEL_MISMATCH: {folder}/{name} is not the file that was proven; run the model task")
    return facts, files


def _as_npy(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=False)
    return sink.getvalue()
