"""`make bench`: python -m benchmarks [--images N] [--repetitions R] [--whole N] [--curve N,N,…]

Limits, the pipeline's steps, the peers and the whole runs take turns: each runs once in every repetition.
A temporary load on the machine therefore slows down all of them, and the ratios stay comparable.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import limits, peers_runner, photos, pipeline, report
from benchmarks.model import FINGERPRINT
from imagefeatures.layout import model_folder
from imagefeatures.settings import Settings

FULL = {"images": 5_000, "whole": 20_000, "curve": [1_000, 5_000, 20_000, 50_000]}
FEW = 20
"""The time of a run over so few photos is the fixed cost of every run."""


class Bench:
    """One run of the benchmark: its photos, its deployment, and the results so far. options: see `parse`."""

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self.folder, self.options, self.cores = folder, options, len(os.sched_getaffinity(0))
        say(f"laying out {max(options['whole'], *options['curve'], options['images']):,} photos")
        sizes = [FEW, options["images"], options["whole"], *options["curve"]]
        self.photos = photos.lay_out(photos.read_demo_photos(Settings.from_env().cache), folder / "photos", sizes)
        self.files = {size: sorted(size_folder.rglob("*.jpg")) for size, size_folder in self.photos.items()}
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
            self._note(loop, self.limit(loop, self.options["images"]))

    def steps(self) -> None:
        """The pipeline's four jobs; then, on the same photos, the peers, and the agreement of their vectors."""
        count = self.options["images"]
        listing = pipeline.list_seconds(self.deployment, count, self.cores)
        steps, run = pipeline.run_steps(self.deployment, count)
        for name, step in steps.items():
            self._note(name, step.wall, step.rate)
        # The times include the start of the Python workers, but not that of Spark, as for a peer's query.
        self._note("ours", listing + sum(steps[name].work for name in pipeline.EQUAL_WORK))
        self.rates["ours, busy"].append(count / sum(steps[name].busy for name in pipeline.EQUAL_WORK))
        for peer in peers_runner.PEERS:
            outcome = self._peer(peer, count, pipeline.features_of(run))
            self._note(peer, outcome.query)
            self.rates[f"{peer}, start-up"].append(outcome.wall - outcome.query)
        for file in pipeline.features_of(run):
            Path(file).unlink()
        shutil.rmtree(run.layout.run.removeprefix("file://"))

    def whole(self) -> None:
        """Whole runs, from the command to the published table, start-up included."""
        count = self.options["whole"]
        self._note_whole("fused", self.limit("fused", count))
        self._note_whole("ours", self._whole_run(count).wall)
        for peer in peers_runner.PEERS:
            if peer != "notebook" or not self.whole_rates[peer]:  # once: it takes longer than all the others together
                self._note_whole(peer, self._peer(peer, count).wall)

    def curve(self) -> list[tuple[int, float]]:
        """(photos, seconds) of whole runs: the median so far for the repeated size, a single run for the others."""
        count, rates = self.options["whole"], self.whole_rates["ours"]
        for size in sorted({*self.options["curve"]} - {count, *self.curve_seconds}):
            self.curve_seconds[size] = self._whole_run(size).wall
        return sorted({**self.curve_seconds, count: statistics.median(count / rate for rate in rates)}.items())

    def tasks(self) -> dict[str, float]:
        """Seconds of each task of a run over FEW photos, after an untimed run that creates Airflow's database."""
        self._whole_run(FEW)
        run = self._whole_run(FEW)
        return {**run.tasks, "command, all in all": run.wall}

    def _whole_run(self, size: int) -> pipeline.WholeRun:
        run = pipeline.whole_run(self.deployment, size)
        os.sync()
        say(f"  whole run over {size:,}: {run.wall:.1f} s: {run.tasks}")
        return run

    def _peer(self, peer: str, size: int, vectors: list[str] | None = None) -> peers_runner.Outcome:
        """Run a peer. vectors: the pipeline's Parquet files, to compare the peer's vectors with."""
        out = self.folder / f"{peer}-out"
        job = peers_runner.Job(self.photos[size], size, self.model, self.cores)
        outcome = peers_runner.run(peer, job, out)
        self.versions |= outcome.versions
        if vectors:
            cosine = peers_runner.agreement(vectors, out)
            self.agreement[peer] = min(cosine, self.agreement.get(peer, 1.0))
        shutil.rmtree(out)
        return outcome

    def _note(self, name: str, wall: float, rate: float | None = None) -> None:
        rate = rate or self.options["images"] / wall
        self.rates[name].append(rate)
        self.walls[name].append(wall)
        say(f"  {name:<10} {rate:7.0f} images/s  {wall:6.1f} s")
        os.sync()  # so that the next measurement does not pay for this one's disk writes

    def _note_whole(self, name: str, wall: float) -> None:
        self.whole_rates[name].append(self.options["whole"] / wall)
        say(f"  {name:<10} {self.options['whole'] / wall:7.0f} images/s  {wall:6.1f} s, whole")
        os.sync()


def main() -> None:
    options = parse()
    text = ""
    with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as folder:
        for partial_results in measure(Bench(Path(folder), options)):
            text = report.write(partial_results, "bench")  # after each repetition, so that a failure loses only one
    print(text)


def measure(bench: Bench) -> Iterator[dict[str, Any]]:
    """Run all repetitions, and the curve in the first. Yields the results so far, as the JSON file holds them."""
    say(f"a run over {FEW} photos")
    tasks = bench.tasks()
    load = [os.getloadavg()[0]]
    curve = [(FEW, tasks["command, all in all"])]
    for repetition in range(1, bench.options["repetitions"] + 1):
        say(f"repetition {repetition}")
        measurements: tuple[Callable[[], None], ...] = (bench.limits, bench.steps, bench.whole)
        for measurement in measurements:
            measurement()
        load.append(os.getloadavg()[0])
        yield results(bench, tasks, [*curve, *bench.curve()], load)


def results(bench: Bench, tasks: dict[str, float], curve: list[tuple[int, float]], load: list[float]) -> dict[str, Any]:
    packages = ("imagefeatures", "apache-airflow", "pyiceberg", "pyarrow", "numpy")
    return {
        "made_at": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "asked": {**bench.options, "repetitions": len(bench.whole_rates["ours"])},
        "machine": {**machine(bench.cores), "load": [round(x, 1) for x in load]},
        "versions": bench.versions | {package: version(package) for package in packages},
        "rates": bench.rates,
        "walls": bench.walls,
        "whole_rates": bench.whole_rates,
        "curve": curve,
        "tasks": tasks,
        "agreement": bench.agreement,
        "least_cosine": peers_runner.LEAST_COSINE,
    }


def machine(cores: int) -> dict[str, Any]:
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cores": cores, "cpu": cpu[0].partition(": ")[2] if cpu else "?", "memory_gb": round(memory)}


def parse() -> dict[str, Any]:
    """The options: the full benchmark by default; without the long curve as soon as --images is arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--images", type=int, default=0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--whole", type=int, default=0)
    parser.add_argument("--curve", default="")
    arguments = parser.parse_args()
    images = arguments.images or FULL["images"]
    curve = [int(size) for size in arguments.curve.split(",") if size] or ([] if arguments.images else FULL["curve"])
    whole = arguments.whole or (arguments.images or FULL["whole"])
    return {"images": images, "repetitions": arguments.repetitions, "whole": whole, "curve": curve}


def say(text: str) -> None:
    print(f"{dt.datetime.now():%H:%M:%S} {text}", flush=True)


if __name__ == "__main__":
    main()
