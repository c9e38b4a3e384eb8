"""python -m benchmarks [--images N] [--repetitions R] [--whole N] [--curve N,N,…]: what `make bench` runs.

Limits, our steps, the peers and the whole runs take turns: repetition by repetition each runs once, so
that what disturbs the machine for a while disturbs all of them, and the ratios hold.
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

from benchmarks import limits, others, ours, photos, report
from benchmarks.model import FINGERPRINT
from imagefeatures.layout import model_folder
from imagefeatures.settings import Settings

FULL = {"images": 5_000, "whole": 20_000, "curve": [1_000, 5_000, 20_000, 50_000]}
FEW = 20
"""A run over so few photos costs what every run costs, and next to nothing more."""


class Bench:
    """One run of the benchmark: the photos, the deployment, and what was found so far."""

    def __init__(self, folder: Path, asked: dict[str, Any]) -> None:
        self.folder, self.asked, self.cores = folder, asked, len(os.sched_getaffinity(0))
        say(f"laying out {max(asked['whole'], *asked['curve'], asked['images']):,} photos")
        sizes = [FEW, asked["images"], asked["whole"], *asked["curve"]]
        self.photos = photos.lay_out(photos.read_demo_photos(Settings.from_env().cache), folder / "photos", sizes)
        self.files = {size: sorted(place.rglob("*.jpg")) for size, place in self.photos.items()}
        self.deployment = ours.Deployment(folder)
        self.deployment.make(self.photos)
        model = model_folder(self.deployment.settings.lake, FINGERPRINT)
        self.model = Path(model.removeprefix("file://"))
        self.rates: dict[str, list[float]] = defaultdict(list)
        self.walls: dict[str, list[float]] = defaultdict(list)
        self.whole_rates: dict[str, list[float]] = defaultdict(list)
        self.once: dict[int, float] = {}
        self.agreement: dict[str, float] = {}
        self.versions = {"python": platform.python_version()}

    def limit(self, loop: str, size: int) -> float:
        """Seconds of a bare loop."""
        out = self.folder / "fused"
        seconds = limits.run(limits.Work(loop, self.files[size], self.model, out), self.cores)
        shutil.rmtree(out)
        return seconds

    def limits(self) -> None:
        for loop in limits.LOOPS:
            self._note(loop, self.limit(loop, self.asked["images"]))

    def steps(self) -> None:
        """Our four jobs; then, on the same photos, the peers, whose vectors are held against ours."""
        count = self.asked["images"]
        listing = ours.list_seconds(self.deployment, count, self.cores)
        steps, run = ours.run_steps(self.deployment, count)
        for name, step in steps.items():
            self._note(name, step.wall, step.rate)
        # Like a peer's query: from an engine that stands to the files, Python workers' start included.
        self._note("ours", listing + sum(steps[name].work for name in ours.EQUAL_WORK))
        self.rates["ours, busy"].append(count / sum(steps[name].busy for name in ours.EQUAL_WORK))
        for peer in others.PEERS:
            outcome = self._peer(peer, count, ours.features_of(run))
            self._note(peer, outcome.query)
            self.rates[f"{peer}, start-up"].append(outcome.wall - outcome.query)
        for file in ours.features_of(run):
            Path(file).unlink()
        shutil.rmtree(run.layout.run.removeprefix("file://"))

    def whole(self) -> None:
        """Whole runs: everything that stands between a command and a published table, start-up included."""
        count = self.asked["whole"]
        self._note_whole("fused", self.limit("fused", count))
        self._note_whole("ours", self._whole_run(count).wall)
        for peer in others.PEERS:
            if peer != "notebook" or not self.whole_rates[peer]:  # once: it takes longer than all others together
                self._note_whole(peer, self._peer(peer, count).wall)

    def curve(self) -> list[tuple[int, float]]:
        """(photos, seconds) of whole runs: the one that is repeated, by its median so far; the others once each."""
        count, rates = self.asked["whole"], self.whole_rates["ours"]
        for size in sorted({*self.asked["curve"]} - {count, *self.once}):
            self.once[size] = self._whole_run(size).wall
        return sorted({**self.once, count: statistics.median(count / rate for rate in rates)}.items())

    def tasks(self) -> dict[str, float]:
        """Seconds of each task of a run over a few photos. The first such run makes Airflow's database: not timed."""
        self._whole_run(FEW)
        run = self._whole_run(FEW)
        return {**run.tasks, "command, all in all": run.wall}

    def _whole_run(self, size: int) -> ours.WholeRun:
        run = ours.whole_run(self.deployment, size)
        os.sync()
        say(f"  whole run over {size:,}: {run.wall:.1f} s: {run.tasks}")
        return run

    def _peer(self, peer: str, size: int, vectors: list[str] | None = None) -> others.Outcome:
        out = self.folder / f"{peer}-out"
        job = others.Job(self.photos[size], size, self.model, self.cores)
        outcome = others.run(peer, job, out)
        self.versions |= outcome.versions
        if vectors:
            cosine = others.agreement(vectors, out)
            self.agreement[peer] = min(cosine, self.agreement.get(peer, 1.0))
        shutil.rmtree(out)
        return outcome

    def _note(self, name: str, wall: float, rate: float | None = None) -> None:
        rate = rate or self.asked["images"] / wall
        self.rates[name].append(rate)
        self.walls[name].append(wall)
        say(f"  {name:<10} {rate:7.0f} images/s  {wall:6.1f} s")
        os.sync()  # what one leaves to be written to the disk is not the next one's to bear

    def _note_whole(self, name: str, wall: float) -> None:
        self.whole_rates[name].append(self.asked["whole"] / wall)
        say(f"  {name:<10} {self.asked['whole'] / wall:7.0f} images/s  {wall:6.1f} s, whole")
        os.sync()


def main() -> None:
    asked = parse()
    text = ""
    with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as folder:
        for found in measure(Bench(Path(folder), asked)):
            text = report.write(found, "bench")  # after each repetition: what an hour has found is not lost
    print(text)


def measure(bench: Bench) -> Iterator[dict[str, Any]]:
    """All repetitions, the curve with the first. Yields the results so far: what the JSON file holds."""
    say(f"a run over {FEW} photos")
    tasks = bench.tasks()
    load = [os.getloadavg()[0]]
    curve = [(FEW, tasks["command, all in all"])]
    for repetition in range(1, bench.asked["repetitions"] + 1):
        say(f"repetition {repetition}")
        in_turn: tuple[Callable[[], None], ...] = (bench.limits, bench.steps, bench.whole)
        for part in in_turn:
            part()
        load.append(os.getloadavg()[0])
        yield results(bench, tasks, [*curve, *bench.curve()], load)


def results(bench: Bench, tasks: dict[str, float], curve: list[tuple[int, float]], load: list[float]) -> dict[str, Any]:
    ours_too = ("imagefeatures", "apache-airflow", "pyiceberg", "pyarrow", "numpy")
    return {
        "made_at": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "asked": {**bench.asked, "repetitions": len(bench.whole_rates["ours"])},
        "machine": {**machine(bench.cores), "load": [round(x, 1) for x in load]},
        "versions": bench.versions | {package: version(package) for package in ours_too},
        "rates": bench.rates,
        "walls": bench.walls,
        "whole_rates": bench.whole_rates,
        "curve": curve,
        "tasks": tasks,
        "agreement": bench.agreement,
        "least_cosine": others.LEAST_COSINE,
    }


def machine(cores: int) -> dict[str, Any]:
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cores": cores, "cpu": cpu[0].partition(": ")[2] if cpu else "?", "memory_gb": round(memory)}


def parse() -> dict[str, Any]:
    """What is asked for: all of it, or, as soon as a number of images is named, the same without the long curve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--images", type=int, default=0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--whole", type=int, default=0)
    parser.add_argument("--curve", default="")
    given = parser.parse_args()
    images = given.images or FULL["images"]
    curve = [int(size) for size in given.curve.split(",") if size] or ([] if given.images else FULL["curve"])
    whole = given.whole or (given.images or FULL["whole"])
    return {"images": images, "repetitions": given.repetitions, "whole": whole, "curve": curve}


def say(text: str) -> None:
    print(f"{dt.datetime.now():%H:%M:%S} {text}", flush=True)


if __name__ == "__main__":
    main()
