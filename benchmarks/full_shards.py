"""The peak memory of Spark's Python workers, and of their decode children, over shards as large as the defaults allow.

    python -m benchmarks.full_shards        about two minutes; 300 MB of photos, four times that in the lake

Photos of noise, so that their bytes and not their pixels fill a shard: 512 of 128 kB (both caps are reached at once),
16 of 4 MB, 2 of 32 MB. Four shards of each, through the real jobs.
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

from benchmarks.many import submit
from benchmarks.model import prepare_model
from imagefeatures import steps
from imagefeatures.datasets import Dataset, Limits, RunParams
from imagefeatures.plan import load_run, plan_run
from imagefeatures.settings import REPOSITORY, Settings

SHARDS = 4
KINDS = {512: 128 * 2**10, 16: 4 * 2**20, 2: 32 * 2**20}
"""Photos of a shard, and the most bytes of each: always 64 MiB."""


def photo(most: int) -> bytes:
    """A square JPEG file of noise, a little smaller than this many bytes."""
    side = int(1.1 * most**0.5)  # such noise takes a little less than a byte a pixel
    while True:
        sink = io.BytesIO()
        noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(noise).save(sink, "JPEG", quality=90)
        if sink.tell() <= most:
            return sink.getvalue()
        side = side * 49 // 50


def lay_out(folder: Path, count: int, most: int) -> None:
    """Write the photos of so many full shards: one file under many names."""
    folder.mkdir(parents=True)
    (folder / "0.jpg").write_bytes(photo(most))
    for at in range(1, SHARDS * count):
        (folder / f"{at}.jpg").hardlink_to(folder / "0.jpg")


def plan(folder: Path, count: int) -> str:
    settings = Settings.from_env()
    prepare_model(settings)
    dataset = Dataset.model_validate({"name": "photos", "source": f"file://{folder}/{count}/", "limits": Limits()})
    return load_run(plan_run(dataset, RunParams.parse({}), "2026-11-02", settings)).layout.run_file


def measure(count: int, folder: Path) -> dict[str, dict[str, float]]:
    """Step to kind of process to its peak in MiB, over shards of so many photos."""
    env = {"IMAGEFEATURES_LAKE": f"file://{folder}/lake"}
    lay_out(folder / str(count), count, KINDS[count])
    command = [sys.executable, "-m", "benchmarks.full_shards", "plan", str(folder), str(count)]
    run_file = subprocess.check_output(command, env=os.environ | env, cwd=REPOSITORY, text=True).strip()  # noqa: S603
    return {step: submit(run_file, step, folder / f"{step}-{count}", env) for step in steps.SPARK_STEPS}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        for count, most in KINDS.items():
            for step, found in measure(count, Path(folder)).items():
                peaks = ", ".join(f"{kind} {mib:.0f} MiB" for kind, mib in sorted(found.items()))
                print(f"{count} photos of {most:,} bytes, {step}: {peaks}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["plan"]:
        print(plan(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        main()
