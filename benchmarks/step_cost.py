"""`python -m benchmarks.step_cost`: what each step costs beside decoding and inference, by size of the photo.

    python -m benchmarks.step_cost [repetitions] [another checkout]

Each set is one full shard, whose four steps run one after the other. A second checkout, such as the version before,
takes turns with this one, each in a process of its own. Each is warm: its first round does not count. It prints the
table in docs/performance.md, in milliseconds of processor time a photo.
"""

from __future__ import annotations

import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import photos, pipeline
from benchmarks.decoding import SIZES, mosaic
from benchmarks.model import MODEL
from imagefeatures import isolation, manifest, storage
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import SPARK_STEPS

COUNTS = dict(zip(SIZES, (512, 512, 320, 20), strict=True))
"""The photos of a full shard: 512, or 64 MiB."""

COLUMNS = ("ingest", "validate", "its child", "resize", "its child", "featurize")


def main(repetitions: int, *others: str) -> None:
    from benchmarks.bench import machine

    with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as folder:
        made = make_photos(Path(folder))
        checkouts = [str(REPOSITORY), *others]
        workers = [_start(checkout, Path(folder) / str(number), made) for number, checkout in enumerate(checkouts)]
        spent: dict[tuple[int, int], list[list[float]]] = defaultdict(list)
        for repetition in range(repetitions + 1):
            for number, worker in enumerate(workers):
                for count in made:
                    measured = _ask(worker, count)
                    if repetition:
                        spent[count, number].append(measured)
        for worker in workers:
            worker.communicate()
    print(f"{machine(1)['cpu']}, load {os.getloadavg()[0]:.0f}; ms of processor time a photo, median (smallest)")
    print(f"| | {' | '.join(COLUMNS)} | beside decoding and inference |")
    for name, count in zip(SIZES, made, strict=True):
        for number, checkout in enumerate(checkouts):
            rows = [[*row, sum(row[:4]) + row[5]] for row in spent[count, number]]
            cells = [f"{statistics.median(of):.2f} ({min(of):.2f})" for of in zip(*rows, strict=True)]
            print(f"| {name}{' of ' + Path(checkout).name if others else ''} | {' | '.join(cells)} |")


def make_photos(folder: Path) -> dict[int, Path]:
    """A folder of photos for each size. Returns how many each has, and where it is; no count comes twice."""
    random.seed(5)
    blobs = random.sample([data for _, data in photos.read_demo_photos(Settings.from_env().cache)], 250)
    tiles = [Image.open(io.BytesIO(data)).convert("RGB") for data in blobs]
    made = {}
    for number, (name, (width, height, _)) in enumerate(SIZES.items()):
        count = COUNTS[name] - number  # the number of photos is the name of its dataset
        made[count] = folder / "photos" / str(count)
        made[count].mkdir(parents=True)
        few = [mosaic(tiles, width, height, 1) for _ in range(min(count, 40))]
        for index in range(count):
            data = photos.with_comment(few[index % len(few)], f"copy {index}")
            (made[count] / f"{index:04d}.jpg").write_bytes(data)
    return made


def work(folder: Path, made: dict[int, Path]) -> None:
    """Answer each count on standard input by what one run over these photos costs: a JSON list of COLUMNS."""
    deployment = pipeline.Deployment(folder)
    deployment.make(made)
    for line in sys.stdin:
        print(json.dumps(cost(deployment, int(line))), flush=True)


class NoInference:
    """An engine that computes nothing: what is left is the step."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Vectors like those of a model."""
        return np.full((len(pixels), MODEL.width), 0.5, np.float32)


def cost(deployment: pipeline.Deployment, count: int) -> list[float]:
    """Milliseconds a photo of COLUMNS: of this process, and of its decode children where a step has one."""
    run = pipeline.plan(deployment, count)
    shards = manifest.list_source(run, workers=1).shards
    run_shard = StepRunner(NoInference())
    spent: list[float] = []
    for step in SPARK_STEPS:
        before, children = time.process_time(), _children()
        for shard in range(shards):
            run_shard(run, step, shard)
        spent.append(time.process_time() - before)
        if step in ("validate", "resize"):
            spent.append(_children() - children)
    storage.delete_folder(run.layout.run)
    return [1000 * seconds / count for seconds in spent]


def _children() -> float:
    """Seconds of a core that the decode children have used."""
    children = [of._child for of in (isolation.inspector(), isolation.decoder()) if of._child]
    # Not /proc/<pid>/stat, which counts in hundredths of a second.
    return sum(int(Path(f"/proc/{child.pid}/schedstat").read_text().split()[0]) for child in children) / 1e9


def _start(checkout: str, folder: Path, made: dict[int, Path]) -> subprocess.Popen[str]:
    paths = {str(count): str(path) for count, path in made.items()}
    return subprocess.Popen(  # noqa: S603 - this file, by this interpreter
        [sys.executable, __file__, "--work", str(folder), json.dumps(paths)],
        env=os.environ | {"PYTHONPATH": checkout},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _ask(worker: subprocess.Popen[str], count: int) -> list[float]:
    assert worker.stdin and worker.stdout  # noqa: S101 - pipes
    worker.stdin.write(f"{count}\n")
    worker.stdin.flush()
    answer: list[float] = json.loads(worker.stdout.readline())
    return answer


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(Path(sys.argv[2]), {int(count): Path(path) for count, path in json.loads(sys.argv[3]).items()})
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, *sys.argv[2:])
