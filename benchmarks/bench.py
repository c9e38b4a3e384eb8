"""What `make bench` measures: limits, steps, peers and whole runs, over the photos that it is given."""

from __future__ import annotations

import datetime as dt
import os
import platform
import shutil
import statistics
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import limits, peers_runner, pipeline
from benchmarks.model import FINGERPRINT
from imagefeatures.layout import model_folder

FEW = 20
"""The time of a run over so few photos is the fixed cost of every run."""


class Bench:
    """The measurements of one run of the benchmark: their deployment, and the results so far.

    photos: number of photos: their folder, for every number that is measured. images: for the steps and the equal work.
    whole: for the whole runs.
    """

    def __init__(self, folder: Path, photos: dict[int, Path], images: int, whole: int) -> None:
        self.folder, self.photos, self.images, self.whole_images = folder, photos, images, whole
        self.cores = len(os.sched_getaffinity(0))
        self.files = {size: sorted(size_folder.rglob("*.*")) for size, size_folder in photos.items()}
        self.deployment = pipeline.Deployment(folder)
        self.deployment.make(self.photos)
        model = model_folder(self.deployment.settings.lake, FINGERPRINT)
        self.model = Path(model.removeprefix("file://"))
        self.rates: dict[str, list[float]] = defaultdict(list)
        self.walls: dict[str, list[float]] = defaultdict(list)
        self.whole_rates: dict[str, list[float]] = defaultdict(list)
        self.curve_seconds: dict[int, float] = {}
        self.agreement: dict[str, float] = {}
        self.versions = {"python": platform.python_version()}

    def limit(self, loop: str, size: int) -> float:
        """Seconds of a bare loop over so many photos."""
        out = self.folder / "fused"
        seconds = limits.run(limits.Work(loop, self.files[size], self.model, out), self.cores)
        shutil.rmtree(out)
        return seconds

    def limits(self) -> None:
        for loop in limits.LOOPS:
            self.note(loop, self.limit(loop, self.images))

    def steps(self, peers: Sequence[str] = tuple(peers_runner.PEERS), failures: dict[str, str] | None = None) -> None:
        """The pipeline's four jobs; then, on the same photos, the peers, and the agreement of their vectors.

        failures: for the text of a peer that fails, by its name; raises RuntimeError without it.
        """
        count = self.images
        listing = pipeline.list_seconds(self.deployment, count, self.cores)
        steps, run = pipeline.run_steps(self.deployment, count)
        for name, step in steps.items():
            self.note(name, step.wall, step.rate)
        # The times include the start of the Python workers, but not that of Spark, as for a peer's query.
        self.note("ours", listing + sum(steps[name].work for name in pipeline.EQUAL_WORK))
        self.rates["ours, busy"].append(count / sum(steps[name].busy for name in pipeline.EQUAL_WORK))
        for peer in peers:
            try:
                outcome = self._peer(peer, count, pipeline.features_of(run))
            except RuntimeError as error:
                if failures is None:
                    raise
                failures[peer] = str(error)
                say(f"  {error}")
                continue
            self.note(peer, outcome.query)
            self.rates[f"{peer}, start-up"].append(outcome.wall - outcome.query)
        for file in pipeline.features_of(run):
            Path(file).unlink()
        shutil.rmtree(run.layout.run.removeprefix("file://"))

    def whole(self) -> None:
        """Whole runs, from the command to the published table, start-up included."""
        count = self.whole_images
        self.note_whole("fused", self.limit("fused", count))
        self.note_whole("ours", self.whole_run(count).wall)
        for peer in peers_runner.PEERS:
            if peer != "notebook" or not self.whole_rates[peer]:  # once: it takes longer than all the others together
                self.note_whole(peer, self._peer(peer, count).wall)

    def curve(self, sizes: list[int]) -> list[tuple[int, float]]:
        """(photos, seconds) of whole runs: the median so far for the repeated size, a single run for the others."""
        count, rates = self.whole_images, self.whole_rates["ours"]
        for size in sorted({*sizes} - {count, *self.curve_seconds}):
            self.curve_seconds[size] = self.whole_run(size).wall
        return sorted({**self.curve_seconds, count: statistics.median(count / rate for rate in rates)}.items())

    def tasks(self) -> dict[str, float]:
        """Seconds of each task of a run over FEW photos, after an untimed run that creates Airflow's database."""
        self.whole_run(FEW)
        run = self.whole_run(FEW)
        return {**run.tasks, "command, all in all": run.wall}

    def whole_run(self, size: int) -> pipeline.WholeRun:
        run = pipeline.whole_run(self.deployment, size)
        os.sync()
        say(f"  whole run over {size:,}: {run.wall:.1f} s: {run.tasks}")
        return run

    def _peer(self, peer: str, size: int, vectors: list[str] | None = None) -> peers_runner.Outcome:
        """Run a peer. vectors: the pipeline's Parquet files, to compare the peer's vectors with."""
        out = self.folder / f"{peer}-out"
        job = peers_runner.Job(self.photos[size], size, self.model, self.cores)
        shutil.rmtree(out, ignore_errors=True)  # of a peer that has failed
        outcome = peers_runner.run(peer, job, out)
        self.versions |= outcome.versions
        if vectors:
            cosine = peers_runner.agreement(vectors, out)
            self.agreement[peer] = min(cosine, self.agreement.get(peer, 1.0))
        shutil.rmtree(out)
        return outcome

    def note(self, name: str, wall: float, rate: float | None = None) -> None:
        rate = rate or self.images / wall
        self.rates[name].append(rate)
        self.walls[name].append(wall)
        say(f"  {name:<10} {rate:7.0f} images/s  {wall:6.1f} s")
        os.sync()  # so that the next measurement does not pay for this one's disk writes

    def note_whole(self, name: str, wall: float) -> None:
        self.whole_rates[name].append(self.whole_images / wall)
        say(f"  {name:<10} {self.whole_images / wall:7.0f} images/s  {wall:6.1f} s, whole")
        os.sync()


def versions() -> dict[str, str]:
    """The versions of the service's own packages that matter to its speed."""
    return {
        package: version(package) for package in ("imagefeatures", "apache-airflow", "pyiceberg", "pyarrow", "numpy")
    }


def machine(cores: int) -> dict[str, Any]:
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cores": cores, "cpu": cpu[0].partition(": ")[2] if cpu else "?", "memory_gb": round(memory)}


def say(text: str) -> None:
    print(f"{dt.datetime.now():%H:%M:%S} {text}", flush=True)
