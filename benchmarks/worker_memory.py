"""The peak memory of Spark's Python workers and their decode children over shards as large as the defaults allow.

    python -m benchmarks.worker_memory      about two minutes; 300 MB of photos a size, four times that in the lake

The photos are noise, so that a shard is filled by their bytes and not by their pixels: 512 photos of 128 kB (both
limits of a shard are reached at once), 16 of 4 MB, or 2 of 32 MB. The real jobs process four shards of each.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.driver_memory import submit
from benchmarks.model import prepare_model
from benchmarks.photos import with_comment
from imagefeatures import steps
from imagefeatures.datasets import Dataset
from imagefeatures.limits import Limits
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import REPOSITORY, Settings

SHARDS = 4
LARGEST_PHOTO = {512: 128 * 2**10, 16: 4 * 2**20, 2: 32 * 2**20}
"""Number of photos in a shard: the most bytes of one photo. Together always 64 MiB."""

LONGEST_COMMENT = 32
"""The most bytes of a comment with its header."""


def photo(largest: int) -> bytes:
    """A square JPEG file of noise, of at most `largest` bytes and only a little smaller."""
    side = int(1.1 * largest**0.5)  # noise takes a little less than a byte a pixel
    while True:
        sink = io.BytesIO()
        noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(noise).save(sink, "JPEG", quality=90)
        if sink.tell() <= largest:
            return sink.getvalue()
        side = side * 49 // 50


def lay_out(folder: Path, count: int) -> None:
    """Write the photos of SHARDS full shards of `count` photos: one with many comments, or it would be decoded once."""
    folder.mkdir(parents=True)
    noise = photo(LARGEST_PHOTO[count] - LONGEST_COMMENT)
    for number in range(SHARDS * count):
        (folder / f"{number}.jpg").write_bytes(with_comment(noise, f"copy {number}"))


def plan(folder: Path, count: int) -> str:
    settings = Settings.from_env()
    prepare_model(settings)
    dataset = Dataset.model_validate({"name": "photos", "source": f"file://{folder}/{count}/", "limits": Limits()})
    return load_run(plan_run(dataset, RunParams.parse({}), "2026-11-02", settings)).layout.run_file


def measure(count: int, folder: Path) -> dict[str, dict[str, float]]:
    """The peaks over shards of `count` photos. Returns step: kind of process: its peak in MiB."""
    env = {"IMAGEFEATURES_LAKE": f"file://{folder}/lake"}
    lay_out(folder / str(count), count)
    command = [sys.executable, "-m", "benchmarks.worker_memory", "plan", str(folder), str(count)]
    run_file = subprocess.check_output(command, env=os.environ | env, cwd=REPOSITORY, text=True).strip()  # noqa: S603
    return {step: submit(run_file, step, folder / f"{step}-{count}", env) for step in steps.SPARK_STEPS}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        for count, largest in LARGEST_PHOTO.items():
            for step, peaks in measure(count, Path(folder)).items():
                peaks_text = ", ".join(f"{kind} {mib:.0f} MiB" for kind, mib in sorted(peaks.items()))
                print(f"{count} photos of {largest:,} bytes, {step}: {peaks_text}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["plan"]:
        print(plan(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        main()
