"""Every model by name on this machine's GPU: its vectors beside Keras' own on the CPU, and its speed.

`python -m benchmarks.gpus` needs TensorFlow with CUDA and a GPU that it sees. It writes the table of docs/deploying.md.
Each model is measured in a process of its own, and prepared as a run with `engine: tensorflow` does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import documents, seeded_models
from imagefeatures.models import gpus, prepare, reference
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.engines import tensorflow
from imagefeatures.models.pinning import pinned
from imagefeatures.models.spec import ModelSpec
from imagefeatures.models.weights import cache_file
from imagefeatures.settings import REPOSITORY, Settings

DOCUMENT = REPOSITORY / "docs" / "deploying.md"
RESULTS = REPOSITORY / "benchmarks" / "results" / "gpus.json"
BEGIN, END = "<!-- begin: python -m benchmarks.gpus -->\n", "<!-- end: python -m benchmarks.gpus -->\n"
BATCHES = 4
"""How many full batches are computed at once while the speed is measured."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpus", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; all if none is named")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        print(json.dumps(measure(BACKBONES[given.names[0]], given.folder)))
        return
    write_table(documents.one_by_one(given.names or BACKBONES, measured, line, RESULTS))


def measured(name: str) -> dict[str, Any]:
    """What is measured of one model: a row of the table."""
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        return documents.in_a_process("benchmarks.gpus", name, folder)


def measure(spec: ModelSpec, folder: Path) -> dict[str, Any]:
    """What is measured of one model in this process. folder: for weights and a lake. Raises where there is no GPU."""
    import tensorflow as tf

    gpus.configure_tensorflow()  # before anything else uses the GPU
    (gpu,) = tf.config.list_physical_devices("GPU")
    weights, real = cache_file(spec, folder), cache_file(spec, Settings.from_env().cache)
    weights.parent.mkdir(exist_ok=True)
    with tf.device("/CPU:0"):
        if real.is_file():
            weights.symlink_to(real)
        else:
            seeded_models.write_weights(spec, weights)
            spec = spec.model_copy(update={"weights_hash": None})  # of the official file
        pixels = seeded_models.pictures(spec)
        expected = seeded_models.vectors_of_keras(spec, weights, pixels)
    lake = folder.as_uri()
    spec = pinned(spec, lake, folder)
    prepare.prepare(spec, spec.preprocessing, lake, folder, "tensorflow")
    engine = tensorflow.load(prepare.read_bundle(spec, spec.preprocessing, lake))
    parity = reference.check_parity("tensorflow", engine.features(pixels), expected, by_size=True)
    return {
        "device": tf.config.experimental.get_device_details(gpu)["device_name"],
        "weights": "real" if real.is_file() else "seeded",
        "batch": engine.batch,
        "difference": parity["max_absolute_difference"],
        "cosine": parity["min_cosine"],
        "images_per_second": speed(engine, pixels),
        "peak_memory": tf.config.experimental.get_memory_info("GPU:0")["peak"],
    }


def speed(engine: tensorflow.TensorFlow, pixels: np.ndarray) -> float:
    """Images a second, from bytes in main memory to vectors in main memory: the median of three times."""
    many = np.resize(pixels, (BATCHES * engine.batch, *pixels.shape[1:]))
    engine.features(many)  # the first time chooses algorithms
    rates = []
    for _ in range(3):
        started = time.perf_counter()
        engine.features(many)
        rates.append(len(many) / (time.perf_counter() - started))
    return statistics.median(rates)


HEAD = (
    "| Model | Weights | Largest difference | Cosine | Batch | Images/s | Memory |",
    "|---|---|---:|---:|---:|---:|---:|",
)


def line(name: str, found: dict[str, Any]) -> str:
    """A row of the table in Markdown."""
    return (
        f"| `{name}` | {found['weights']} | {found['difference']:.1e} | {found['cosine']:.7f} | {found['batch']} "
        f"| {found['images_per_second']:,.0f} | {found['peak_memory'] / 2**30:.1f} GiB |"
    )


def write_table(known: dict[str, Any]) -> None:
    """Put the rows of all models that have been measured into the document."""
    rows = [line(name, known[name]) for name in BACKBONES if name in known]
    documents.put(DOCUMENT, BEGIN, END, [*HEAD, *rows])


if __name__ == "__main__":
    main()
