"""Every model by name, and one in each format: engine against the model's own framework, in numbers and in speed.

`make models` writes the table of docs/models.md. Each model is measured in a process of its own, so that the memory of
one is given back before the next. It is prepared as a run does, from the weights of the cache folder, or from weights
that are drawn where the folder has none.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import documents, own_models, seeded_models
from imagefeatures.models import engines, prepare, reference
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.models.own.resolve import resolve
from imagefeatures.models.pinning import pinned
from imagefeatures.models.spec import ModelSpec
from imagefeatures.models.weights import cache_file
from imagefeatures.settings import REPOSITORY, Settings

DOCUMENT = REPOSITORY / "docs" / "models.md"
RESULTS = REPOSITORY / "benchmarks" / "results" / "models.json"
BEGIN, END = "<!-- begin: make models -->\n", "<!-- end: make models -->\n"
SECONDS = 3
"""How long the speed is measured at least."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; all of them if none is named")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        name = given.names[0]
        found = measure(BACKBONES[name], given.folder) if name in BACKBONES else measure_own(name, given.folder)
        print(json.dumps(found))
        return
    write_table(documents.one_by_one(given.names or EVERY, measured, line, RESULTS))


def write_table(known: dict[str, Any]) -> None:
    """Put the rows of all models that have been measured into the document."""
    documents.put(DOCUMENT, BEGIN, END, [*HEAD, *(line(name, known[name]) for name in EVERY if name in known)])


def measured(name: str) -> dict[str, Any]:
    """What is measured of one model: a row of the table. Raises CalledProcessError when a part of it fails."""
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        if name in own_models.OWN:
            return {"weights": "real"} | documents.in_a_process("benchmarks.models", name, folder)
        real = cache_file(BACKBONES[name], Settings.from_env().cache)
        weights = cache_file(BACKBONES[name], Path(folder))
        weights.parent.mkdir()
        if real.is_file():
            weights.symlink_to(real)
        found = documents.in_a_process("benchmarks.models", name, folder)
        return {"weights": "real" if real.is_file() else "seeded"} | found


EVERY = [*BACKBONES, *own_models.OWN]
"""The rows of the table."""


HEAD = (
    "| Model | Width | Input | Values | Weights | Largest difference | Cosine | Images/s a core | Prepared in |",
    "|---|---:|---:|---|---|---:|---:|---:|---:|",
)


def line(name: str, found: dict[str, Any]) -> str:
    """A row of the table in Markdown."""
    spec = BACKBONES.get(name)
    title, vector, shape, values = (
        found["own"] if spec is None else (f"`{name}`", spec.width, spec.input_shape, VALUES[str(spec.scale)])
    )
    return (
        f"| {title} | {vector} | {shape[0]} × {shape[1]} | {values} | {found['weights']} "
        f"| {found['difference']:.1e} | {found['cosine']:.7f} | {found['images_per_second']:.1f} "
        f"| {found['prepare_seconds']:.0f} s |"
    )


VALUES = {
    "tf": "−1 … 1",
    "torch": "mean and deviation",
    "caffe": "BGR less the mean",
    "none": "in the graph",
}
"""What is done to pixel values, for the table."""


def measure(spec: ModelSpec, folder: Path) -> dict[str, float]:
    """What is measured of one model in this process. folder: of the weights, if there are any, and for a lake."""
    if not cache_file(spec, folder).exists():
        seeded_models.write_weights(spec, cache_file(spec, folder))
    spec = spec.model_copy(update={"weights_hash": None})  # of the official file; that of drawn weights is another
    started, lake = time.perf_counter(), folder.as_uri()
    spec = pinned(spec, lake, folder)
    prepare.prepare(spec, spec.preprocessing, lake, folder)
    prepared = time.perf_counter() - started
    bundle, pixels = prepare.read_bundle(spec, spec.preprocessing, lake), seeded_models.pictures(spec)
    engine = engines.load("openvino", bundle)
    expected = seeded_models.vectors_of_keras(spec, cache_file(spec, folder), pixels)
    by_tensorflow = engines.load("tensorflow", bundle).features(pixels)
    return compared(engine, pixels, expected) | {
        "tensorflow_difference": float(np.abs(by_tensorflow - expected).max()),
        "prepare_seconds": prepared,
    }


def measure_own(name: str, folder: Path) -> dict[str, Any]:
    """What is measured of a model from a file, in this process. folder: for the file and for a lake."""
    own = own_models.OWN[name](Settings.from_env().cache, folder)
    started, lake = time.perf_counter(), folder.as_uri()
    spec = resolve(OwnModel.model_validate(own.fields), lake, folder)
    prepare.prepare(spec, spec.preprocessing, lake, folder)
    prepared = time.perf_counter() - started
    engine = engines.load("openvino", prepare.read_bundle(spec, spec.preprocessing, lake))
    pixels = seeded_models.pictures(spec)
    values = VALUES.get(str(spec.scale), "BGR less the mean")
    return compared(engine, pixels, own.expected(pixels)) | {
        "own": [own.title, spec.width, spec.input_shape, values],
        "prepare_seconds": prepared,
    }


def compared(engine: engines.Engine, pixels: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """The engine's vectors beside those that are expected, and its speed."""
    vectors = engine.features(pixels)
    parity = reference.check_parity("openvino", vectors, expected, by_size=True)
    return {
        "difference": parity["max_absolute_difference"],
        "cosine": parity["min_cosine"],
        "spread": float(np.median(vectors.std(axis=0) / (np.abs(vectors).mean(axis=0) + 1e-9))),
        "largest": float(np.abs(vectors).max()),
        "images_per_second": speed(engine, pixels),
    }


def speed(engine: engines.Engine, pixels: np.ndarray) -> float:
    """Images a second, in this process alone."""
    started, done = time.perf_counter(), 0
    while (seconds := time.perf_counter() - started) < SECONDS:
        engine.features(pixels)
        done += len(pixels)
    return done / seconds


if __name__ == "__main__":
    main()
