"""Where the seconds of a shard go: each step's run_shard in this process, alone, by what it calls.

    python -m benchmarks.breakdown [photos]

One shard goes through the four steps twice; the second time counts, so that no import and no child's start is in it.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.parquet as pq

from benchmarks import ours, photos
from benchmarks.model import read_bundle
from imagefeatures import isolation, manifest, storage
from imagefeatures.models import engines
from imagefeatures.models.engines import openvino
from imagefeatures.settings import Settings
from imagefeatures.steps import featurize, ingest, resize, validate

PHOTOS = 512
PARTS: dict[str, tuple[Any, str]] = {
    "source files read": (storage, "fetch"),
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
        deployment = ours.Deployment(Path(folder))
        made = photos.lay_out(photos.read_demo_photos(Settings.from_env().cache), Path(folder) / "photos", [count])
        deployment.make(made)
        steps(deployment, count)
        found = steps(deployment, count)
    for step, (seconds, parts) in found.items():
        print(f"{step}: {1000 * seconds / count:.3f} ms a photo, {count / seconds:,.0f} photos/s on one core")
        rest = seconds - sum(parts.values())
        for part, spent in [*parts.most_common(), ("all else", rest)]:
            print(f"  {part:<20} {1000 * spent / count:7.3f} ms  {spent / seconds:6.1%}")


def steps(deployment: ours.Deployment, count: int) -> dict[str, tuple[float, Counter[str]]]:
    """Seconds of each step over a run's shards, and the seconds of each part."""
    run = ours.plan(deployment, count)
    shards = manifest.list_source(run, workers=1).shards
    engine = engines.cached("openvino", read_bundle(run.lake))
    work: dict[str, Callable[[int], object]] = {
        "ingest": partial(ingest.run_shard, run),
        "validate": partial(validate.run_shard, run),
        "resize": partial(resize.run_shard, run),
        "featurize": lambda shard: featurize.run_shard(run, shard, engine),
    }
    found = {}
    for step, run_shard in work.items():
        with watched() as parts:
            start = time.perf_counter()
            for shard in range(shards):
                run_shard(shard)
            found[step] = (time.perf_counter() - start, parts)
    return found


@contextmanager
def watched() -> Iterator[Counter[str]]:
    """Seconds spent in each of PARTS meanwhile."""
    spent: Counter[str] = Counter()
    patches = [
        mock.patch.object(owner, name, _timed(spent, part, owner, name)) for part, (owner, name) in PARTS.items()
    ]
    for patch in patches:
        patch.start()
    try:
        yield spent
    finally:
        for patch in patches:
            patch.stop()


def _timed(spent: Counter[str], part: str, owner: Any, name: str) -> Callable[..., Any]:
    inner = getattr(owner, name)

    def outer(*args: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return inner(*args, **named)
        finally:
            spent[part] += time.perf_counter() - start

    return outer


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PHOTOS)
