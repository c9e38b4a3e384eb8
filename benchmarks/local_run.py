"""`imagefeatures run` beside the bare fused loop and Daft, interleaved in one run.

    python -m benchmarks.local_run [photos [repetitions]]     5,000 photos and three repetitions by default

The seconds of `imagefeatures run` and of Daft are those of the whole process, those of the loop begin when its
processes are ready. `imagefeatures run` also freezes the bytes, validates, audits and publishes.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import limits, peers_runner, photos, pipeline
from benchmarks.model import FINGERPRINT
from imagefeatures.layout import model_folder
from imagefeatures.settings import Settings


def main(count: int, repetitions: int) -> None:
    cores = len(os.sched_getaffinity(0))
    seconds: dict[str, list[float]] = {"imagefeatures run": [], "fused loop": [], "Daft": [], "Daft, query": []}
    with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as name:
        folder = Path(name)
        made = photos.lay_out(photos.read_demo_photos(Settings.from_env().cache), folder / "photos", [count])
        deployment = pipeline.Deployment(folder)
        deployment.make(made)
        model = Path(model_folder(deployment.settings.lake, FINGERPRINT).removeprefix("file://"))
        job = peers_runner.Job(made[count], count, model, cores)
        for repetition in range(1, repetitions + 1):
            seconds["imagefeatures run"].append(run_locally(deployment, count))
            files = sorted(made[count].rglob("*.jpg"))
            seconds["fused loop"].append(limits.run(limits.Work("fused", files, model, folder / "fused"), cores))
            daft = peers_runner.run("daft", job, folder / "daft")
            seconds["Daft"].append(daft.wall)
            seconds["Daft, query"].append(daft.query)
            for left in ("fused", "daft"):
                shutil.rmtree(folder / left)
            os.sync()  # so that the next repetition does not pay for this one's disk writes
            print(
                f"{repetition}: " + ", ".join(f"{name} {taken[-1]:.1f} s" for name, taken in seconds.items()),
                flush=True,
            )
    ours = statistics.median(seconds["imagefeatures run"])
    print(f"{count:,} photos, {cores} cores, {repetitions} repetitions, medians:")
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"  {name:<18} {count / median:6.0f} images/s  {median:6.1f} s  {median / ours:5.2f} × the first")


def run_locally(deployment: pipeline.Deployment, count: int) -> float:
    """Seconds of the command, start-up included. Raises RuntimeError when the partition is not published."""
    command = [sys.executable, "-m", "imagefeatures.cli", "run", f"photos{count}", pipeline.PARTITION]
    start = time.perf_counter()
    done = subprocess.run(command, env=os.environ | deployment.variables, capture_output=True, text=True)  # noqa: S603
    wall = time.perf_counter() - start
    if done.returncode or f"{count} listed = {count} registered" not in done.stdout:
        raise RuntimeError(f"the run was not published:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return wall


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    main(*(numbers + [5_000, 3][len(numbers) :]))
