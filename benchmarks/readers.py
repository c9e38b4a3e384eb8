"""How fast an epoch of features is handed to a training, beside pyarrow alone, and in how much memory.

    python -m benchmarks.readers                      204,800 rows in 400 files: writes results/readers.json
    python -m benchmarks.readers --rows 20480 --rounds 3

Each round reads the whole table by each reader, in one process and in turn, so that all of them meet the same machine.
The peaks are of processes of their own. PyTorch is measured where it can be imported (`make test-readers` installs it).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.memory import peak_mib
from benchmarks.report import RESULTS
from imagefeatures import read, schemas
from imagefeatures.catalog import tables
from imagefeatures.settings import Settings

FILE_ROWS = 512
WIDTH = 1280
BATCH = 256
DATASET = "bench"
WRITTEN = 40

Epoch = Callable[[], int]
"""Reads the whole table once. Returns the number of rows."""


def main() -> None:
    """Makes the table, measures, prints a line for each reader."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=204_800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak-of", choices=[*READERS, "nothing"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        print(json.dumps(peak_of(options.peak_of)))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"IMAGEFEATURES_LAKE": f"file://{folder}/lake", "TF_CPP_MIN_LOG_LEVEL": "3"}
        os.environ.pop("IMAGEFEATURES_CATALOG", None)
        publish(Path(folder), options.rows // FILE_ROWS)
        results = measured(options.rounds)
    (RESULTS / "readers.json").write_text(json.dumps({"rows": options.rows, "readers": results}, indent=1) + "\n")


def publish(folder: Path, files: int) -> None:
    """A table of so many files as featurize writes them, with ten labels. Only WRITTEN of them differ."""
    (folder / "lake").mkdir()
    paths = [folder / f"{number:06}.parquet" for number in range(files)]
    for number, path in enumerate(paths):
        if number < WRITTEN:
            write(path, number)
        else:
            path.hardlink_to(paths[number % WRITTEN])
    settings = Settings.from_env()
    table = tables.open_table(tables.open_catalog(settings), settings, DATASET)
    tables.replace_files(table, "x", [f"file://{path}" for path in paths], "x")


def write(path: Path, number: int) -> None:
    vectors = np.maximum(np.random.default_rng(number).standard_normal((FILE_ROWS, WIDTH), np.float32), 0)
    offsets = np.arange(0, vectors.size + 1, WIDTH, dtype=np.int32)
    rows = np.arange(number * FILE_ROWS, (number + 1) * FILE_ROWS)
    columns = {
        "uri": [f"s3://bucket/folder/{row:09}.jpg" for row in rows],
        "image_id": [f"{row * 2654435761 % 2**32:08x}" * 8 for row in rows],
        "label": [f"label {row % 10}" for row in rows],
        "features": pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel())),
    }
    for field in schemas.FEATURES:
        if field.name not in columns:
            same = pa.scalar("x" if field.type == pa.string() else 7, field.type)
            columns[field.name] = pa.repeat(same, FILE_ROWS)
    ordered = [columns[name] for name in schemas.FEATURES.names]
    pq.write_table(pa.table(ordered, schema=schemas.FEATURES), path, compression="zstd")


def pyarrow_alone() -> Epoch:
    """What every reader has to do at least: labels and vectors of each file, as arrays."""
    paths = [uri.removeprefix("file://") for uri in read.files(Settings.from_env(), DATASET)]

    def epoch() -> int:
        rows = 0
        for path in paths:
            for batch in pq.ParquetFile(path).iter_batches(1024, columns=["label", "features"]):
                rows += len(batch["features"].flatten().to_numpy().reshape(-1, WIDTH))
        return rows

    return epoch


def opening() -> Epoch:
    """What comes before the first epoch: the snapshot, the names of the labels, the fingerprint, the width."""

    def once() -> int:
        features = read.open(DATASET)
        features.to_tf()
        return len(features)

    return once


def to_numpy() -> Epoch:
    features = read.open(DATASET)
    return lambda: len(features.to_numpy().features)


def to_tf(shuffle: bool = False) -> Epoch:
    return partial(consumed, read.open(DATASET).to_tf(batch=BATCH, shuffle=shuffle))


def to_torch(shuffle: bool = False, workers: int = 0) -> Epoch:
    from torch.utils.data import DataLoader

    dataset = read.open(DATASET).to_torch(batch=BATCH, shuffle=shuffle)
    stays = workers > 0  # as in a training of many epochs
    return partial(consumed, DataLoader(dataset, batch_size=None, num_workers=workers, persistent_workers=stays))


def consumed(batches: Iterable[tuple[object, object]]) -> int:
    """Takes every batch and does nothing with it. Returns the number of rows."""
    rows = 0
    for features, _ in batches:
        rows += len(features)  # type: ignore[arg-type]
    return rows


READERS: dict[str, Callable[[], Epoch]] = {
    "pyarrow alone": pyarrow_alone,
    "opening": opening,
    "to_numpy": to_numpy,
    "to_tf": to_tf,
    "to_tf, shuffled": partial(to_tf, shuffle=True),
    "to_torch": to_torch,
    "to_torch, shuffled": partial(to_torch, shuffle=True),
    "to_torch, 2 workers": partial(to_torch, workers=2),
}


def measured(rounds: int) -> dict[str, dict[str, float]]:
    """Of each reader: rows a second, and rows a CPU second of this process, medians; the ratios to pyarrow alone; MiB.

    The seconds depend on what else the machine does, the CPU seconds little. Those of workers are not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in READERS if "torch" not in name or has_torch()}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in seconds}
    epochs = {name: READERS[name]() for name in seconds}
    rows = 0
    for number in range(rounds + 1):
        for name, spent in seconds.items():
            began, cpu_began = time.perf_counter(), time.process_time()
            rows = epochs[name]()
            if number:  # the first round imports libraries and fills the page cache
                spent.append(time.perf_counter() - began)
                cpu_seconds[name].append(time.process_time() - cpu_began)
    results = {}
    for name in seconds:
        found: dict[str, float] = {"peak_mib": round(run_for_peak(name))}
        for kind, each in (("second", seconds), ("cpu_second", cpu_seconds)):
            ratios = [alone / own for alone, own in zip(each["pyarrow alone"], each[name], strict=True)]
            found |= {f"rows_per_{kind}": round(rows / statistics.median(each[name]))}
            found |= {f"ratio_per_{kind}": round(statistics.median(ratios), 2)}
        results[name] = found
        print(f"{name:20} {found}", flush=True)
    return results


def run_for_peak(name: str) -> float:
    command = [sys.executable, "-m", "benchmarks.readers", "--peak-of", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return float(json.loads(done.stdout.splitlines()[-1]))


def peak_of(name: str) -> float:
    """The peak of this process after it has read the table by one reader, in MiB."""
    READERS[name]()()
    return peak_mib()


def has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


if __name__ == "__main__":
    main()
