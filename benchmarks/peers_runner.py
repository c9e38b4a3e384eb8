"""Runs the peers, each in a process of its own with the interpreter of its own environment, and compares vectors."""

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
"""Below it a peer has computed something else, so that its speed does not count."""


@dataclass(frozen=True)
class Job:
    """The work of a peer. photos: a folder of `count` files. model: the engine's folder. cores: to use."""

    photos: Path
    count: int
    model: Path
    cores: int


@dataclass(frozen=True)
class Outcome:
    """The times of a peer. wall: seconds of the whole process.

    query: seconds from the query's first line to the Parquet files, without the start of the process.
    """

    query: float
    wall: float
    versions: dict[str, str]


def run(peer: str, job: Job, out: Path) -> Outcome:
    """Run a peer. out: a folder that does not exist yet, for its Parquet files.

    Raises RuntimeError when the peer fails, or does not write one row for each photo.
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
    reported = json.loads(report.read_text())
    return Outcome(reported["seconds"], wall, reported["versions"])


def agreement(pipeline_files: list[str], peer_folder: Path) -> float:
    """The smallest cosine between the pipeline's and the peer's vector of a photo, over an even sample of the photos.

    pipeline_files: Parquet files with `uri` and `features`. peer_folder: Parquet files with `path` and `features`.
    """
    expected = _vectors(pipeline_files, "uri")
    computed = _vectors([str(file) for file in peer_folder.rglob("*.parquet")], "path")
    photos = sorted(expected)
    sample = photos[:: max(1, len(photos) // SAMPLE)]
    return min(_cosine(expected[photo], computed[photo]) for photo in sample)


def _command(peer: str) -> list[str]:
    if peer == "notebook":
        # 4 GB, because image bytes pass through the JVM, and its default of 1 GB is not enough for them.
        submit = [str(Path(sys.executable).parent / "spark-submit"), "--master", "local[*]", "--driver-memory", "4g"]
        return [*submit, str(REPOSITORY / "benchmarks" / "peers" / "notebook.py")]
    return [str(ENVIRONMENTS / peer / "bin" / "python"), "-m", f"benchmarks.peers.with_{peer}"]


def _environment(peer: str) -> dict[str, str]:
    """A peer's variables, without the pipeline's JVM options: they do not suit a JVM that image bytes pass through."""
    return os.environ | {
        "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{READERS}" if peer == "notebook" else str(REPOSITORY),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "RAY_USAGE_STATS_ENABLED": "0",
        "DO_NOT_TRACK": "1",
        "DAFT_PROGRESS_BAR": "0",
    }


def _vectors(files: list[str], path_column: str) -> dict[str, np.ndarray]:
    """A photo's label and file name: its vector, float64 [width]."""
    vectors = {}
    for file in files:
        table = pq.ParquetFile(file).read(columns=[path_column, "features"])
        for path, vector in zip(table[path_column].to_pylist(), table["features"], strict=True):
            label, name = path.split("/")[-2:]
            vectors[f"{label}/{name}"] = np.asarray(vector.values, np.float64)
    return vectors


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
