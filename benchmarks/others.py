"""The peers: each runs in a process of its own, under the interpreter of its own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from deploy.local.environment import READERS
from imagefeatures.settings import REPOSITORY

PEERS = {"daft": "Daft", "ray": "Ray Data", "notebook": "the notebook"}
ENVIRONMENTS = REPOSITORY / ".bench"
SAMPLE = 64
LEAST_COSINE = 0.999
"""Below it a peer has not computed the same thing, and its speed says nothing."""


@dataclass(frozen=True)
class Job:
    """What a peer is to do. photos: folder of so many files; model: folder with the engine's files; cores: to use."""

    photos: Path
    count: int
    model: Path
    cores: int


@dataclass(frozen=True)
class Outcome:
    """query: seconds from the query's first line to the Parquet files, in a process that stands already.
    wall: seconds of the whole process.
    """

    query: float
    wall: float
    versions: dict[str, str]


def run(peer: str, job: Job, out: Path) -> Outcome:
    """Run a peer. out: a folder that is not there yet, for its Parquet files.

    Raises RuntimeError when it fails, or writes fewer rows than there are photos.
    """
    report = out.with_suffix(".json")
    arguments = [str(job.photos), str(job.model), str(out), str(job.cores), str(report)]
    start = time.perf_counter()
    done = subprocess.run(  # noqa: S603
        [*_command(peer), *arguments], env=_environment(peer), capture_output=True, text=True, cwd=out.parent
    )
    wall = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{PEERS[peer]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    rows = sum(pq.ParquetFile(file).metadata.num_rows for file in out.rglob("*.parquet"))
    if rows != job.count:
        raise RuntimeError(f"{PEERS[peer]} wrote {rows} rows for {job.count} photos")
    told = json.loads(report.read_text())
    return Outcome(told["seconds"], wall, told["versions"])


def agreement(ours: list[str], theirs: Path) -> float:
    """The smallest cosine between our vector of a photo and theirs, over a sample spread over all photos.

    ours: Parquet files with `uri` and `features`. theirs: folder of Parquet files with `path` and `features`.
    """
    expected = _vectors(ours, "uri")
    found = _vectors([str(file) for file in theirs.rglob("*.parquet")], "path")
    names = sorted(expected)
    sample = names[:: max(1, len(names) // SAMPLE)]
    return min(_cosine(expected[name], found[name]) for name in sample)


def _command(peer: str) -> list[str]:
    if peer == "notebook":
        # Four gigabytes: image bytes pass through the JVM, and its default of one is not enough for them.
        submit = [str(Path(sys.executable).parent / "spark-submit"), "--master", "local[*]", "--driver-memory", "4g"]
        return [*submit, str(REPOSITORY / "benchmarks" / "peers" / "notebook.py")]
    return [str(ENVIRONMENTS / peer / "bin" / "python"), "-m", f"benchmarks.peers.with_{peer}"]


def _environment(peer: str) -> dict[str, str]:
    """Nothing of our own tuning: the class archive and the JVM's options would not suit a JVM that carries images."""
    return os.environ | {
        "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{READERS}" if peer == "notebook" else str(REPOSITORY),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "RAY_USAGE_STATS_ENABLED": "0",
        "DO_NOT_TRACK": "1",
        "DAFT_PROGRESS_BAR": "0",
    }


def _vectors(files: list[str], key: str) -> dict[str, np.ndarray]:
    found = {}
    for file in files:
        table = pq.ParquetFile(file).read(columns=[key, "features"])
        for path, vector in zip(table[key].to_pylist(), table["features"], strict=True):
            label, name = path.split("/")[-2:]
            found[f"{label}/{name}"] = np.asarray(vector.values, np.float64)
    return found


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
