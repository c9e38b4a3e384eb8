"""The seconds that each part of a step takes: run_shard of each step, alone in this process, by the calls it makes.

    python -m benchmarks.breakdown [photos]

The shards go through the four steps twice. Only the second time counts, so that no import and no start of a child
process is included.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.parquet as pq

from benchmarks import photos, pipeline
from benchmarks.model import read_bundle
from imagefeatures import isolation, manifest, storage
from imagefeatures.models import engines
from imagefeatures.models.engines import openvino
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import SPARK_STEPS

PHOTOS = 512
PARTS: dict[str, tuple[Any, str]] = {
    "lake files read": (storage, "read"),
    "lake files written": (storage, "write"),
    "SHA-256": (hashlib, "sha256"),
    "Parquet encoded": (pq, "write_table"),
    "Parquet decoded": (pq.ParquetFile, "read"),
    "child process": (isolation.Isolated, "run"),
    "inference": (openvino.OpenVino, "features"),
}


def main(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as folder:
        deployment = pipeline.Deployment(Path(folder))
        folders = photos.lay_out(photos.read_demo_photos(Settings.from_env().cache), Path(folder) / "photos", [count])
        deployment.make(folders)
        steps(deployment, count)
        measured = steps(deployment, count)
    for step, (seconds, parts) in measured.items():
        print(f"{step}: {1000 * seconds / count:.3f} ms a photo, {count / seconds:,.0f} photos/s on one core")
        rest = seconds - sum(parts.values())
        for part, spent in [*sorted(parts.items(), key=lambda part: -part[1]), ("all else", rest)]:
            print(f"  {part:<20} {1000 * spent / count:7.3f} ms  {spent / seconds:6.1%}")


def steps(deployment: pipeline.Deployment, count: int) -> dict[str, tuple[float, dict[str, float]]]:
    """Run the steps over all shards of a run. Returns step: (its seconds, the seconds of each of its PARTS)."""
    run = pipeline.plan(deployment, count)
    shards = manifest.list_source(run, workers=1).shards
    run_shard = StepRunner(engines.cached("openvino", read_bundle(run.lake)))
    measured = {}
    for step in SPARK_STEPS:
        with timed_parts() as parts:
            start = time.perf_counter()
            for shard in range(shards):
                run_shard(run, step, shard)
            measured[step] = (time.perf_counter() - start, parts)
    return measured


@contextmanager
def timed_parts() -> Iterator[dict[str, float]]:
    """Count the seconds spent in each of PARTS while the context lasts."""
    seconds: dict[str, float] = defaultdict(float)
    patches = [
        mock.patch.object(owner, name, _timed(seconds, part, owner, name)) for part, (owner, name) in PARTS.items()
    ]
    for patch in patches:
        patch.start()
    try:
        yield seconds
    finally:
        for patch in patches:
            patch.stop()


def _timed(seconds: dict[str, float], part: str, owner: Any, name: str) -> Callable[..., Any]:
    function = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[part] += time.perf_counter() - start

    return timed


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PHOTOS)
