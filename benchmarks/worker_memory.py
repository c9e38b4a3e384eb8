"""The peak memory of Spark's Python workers and their decode children over shards as large as the defaults allow.

    python -m benchmarks.worker_memory              two minutes; 300 MB of photos a size, four times that in the lake
    python -m benchmarks.worker_memory megapixels   photos of 12 megapixels, and a JPEG of 200

The photos are noise, so that a shard is filled by their bytes and not by their pixels: 512 photos of 128 kB (both
limits of a shard are reached at once), 16 of 4 MB, or 2 of 32 MB. The real jobs process four shards of each.
Photos of 12 megapixels are those of the set S12MP, 18 in a shard. The JPEG of 200 megapixels is of demo photos side by
side, one in a shard.
"""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.decoding import mosaic
from benchmarks.driver_memory import submit
from benchmarks.model import prepare_model
from benchmarks.photos import read_demo_photos, with_comment
from benchmarks.photos.sets import make_set
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


def lay_out_12_megapixels(folder: Path, count: int) -> None:
    """Link the first photos of the set S12MP, for SHARDS shards of `count`."""
    photos = make_set("S12MP", [SHARDS * count], Settings.from_env().cache)[SHARDS * count]
    folder.symlink_to(photos, target_is_directory=True)


def lay_out_200_megapixels(folder: Path, count: int) -> None:
    """Write SHARDS × `count` JPEGs of 16 000 × 12 500 pixels: one with many comments, half of them turned by EXIF."""
    folder.mkdir(parents=True)
    random.seed(5)
    tiles = [
        Image.open(io.BytesIO(data)).convert("RGB") for _, data in read_demo_photos(Settings.from_env().cache)[::20]
    ]
    upright, turned = (mosaic(tiles, 16_000, 12_500, orientation) for orientation in (1, 6))
    for number in range(SHARDS * count):
        (folder / f"{number}.jpg").write_bytes(with_comment((upright, turned)[number % 2], f"copy {number}"))


LARGE: dict[str, tuple[int, Callable[[Path, int], None], Limits]] = {
    "photos of 12 megapixels": (18, lay_out_12_megapixels, Limits()),
    "JPEG of 200 megapixels": (
        1,
        lay_out_200_megapixels,
        Limits(max_pixels=200_000_000, max_bytes=100 * 2**20, decode_seconds=60),
    ),
}
"""What it is: how many in a shard, how they are laid out, the dataset's limits."""


def plan(folder: Path, count: int, limits: Limits) -> str:
    settings = Settings.from_env()
    prepare_model(settings)
    dataset = Dataset.model_validate({"name": "photos", "source": f"file://{folder}/{count}/", "limits": limits})
    return load_run(plan_run(dataset, RunParams.parse({}), "2026-11-02", settings)).layout.run_file


def measure(
    count: int, folder: Path, make: Callable[[Path, int], None] = lay_out, limits: Limits | None = None
) -> dict[str, dict[str, float]]:
    """The peaks over shards of `count` photos. Returns step: kind of process: its peak in MiB.

    make: lays the photos out in a folder. limits: the defaults without them.
    """
    env = {"IMAGEFEATURES_LAKE": f"file://{folder}/lake"}
    make(folder / str(count), count)
    said = (limits or Limits()).model_dump_json()
    command = [sys.executable, "-m", "benchmarks.worker_memory", "plan", str(folder), str(count), said]
    run_file = subprocess.check_output(command, env=os.environ | env, cwd=REPOSITORY, text=True).strip()  # noqa: S603
    return {step: submit(run_file, step, folder / f"{step}-{count}", env) for step in steps.SPARK_STEPS}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        for count, largest in LARGEST_PHOTO.items():
            show(f"{count} photos of {largest:,} bytes", measure(count, Path(folder)))


def main_megapixels() -> None:
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        for name, (count, make, limits) in LARGE.items():
            show(name, measure(count, Path(folder), make, limits))


def show(photos: str, peaks: dict[str, dict[str, float]]) -> None:
    for step, found in peaks.items():
        text = ", ".join(f"{kind} {mib:.0f} MiB" for kind, mib in sorted(found.items()))
        both = (found["worker"] + found.get("decoder", 0)) * 2**20 / 1e6
        print(f"{photos}, {step}: {text}; a worker and its child {both:.0f} MB", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["plan"]:
        print(plan(Path(sys.argv[2]), int(sys.argv[3]), Limits.model_validate_json(sys.argv[4])))
    elif sys.argv[1:2] == ["megapixels"]:
        main_megapixels()
    else:
        main()
