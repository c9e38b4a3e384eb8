"""`make bench`: python -m benchmarks [--images N] [--repetitions R] [--whole N] [--curve N,N,…]

Limits, the pipeline's steps, the peers and the whole runs take turns: each runs once in every repetition.
A temporary load on the machine therefore slows down all of them, and the ratios stay comparable.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import peers_runner, photos, report
from benchmarks.bench import FEW, Bench, machine, say, versions
from imagefeatures.settings import Settings

FULL = {"images": 5_000, "whole": 20_000, "curve": [1_000, 5_000, 20_000, 50_000]}


def main() -> None:
    options = parse()
    text = ""
    with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as name:
        folder, sizes = Path(name), [FEW, options["images"], options["whole"], *options["curve"]]
        say(f"laying out {max(sizes):,} photos")
        made = photos.lay_out(photos.read_demo_photos(Settings.from_env().cache), folder / "photos", sizes)
        bench = Bench(folder, made, options["images"], options["whole"])
        for partial_results in measure(bench, options):
            text = report.write(partial_results, "bench")  # after each repetition, so that a failure loses only one
    print(text)


def measure(bench: Bench, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run all repetitions, and the curve in the first. Yields the results so far, as the JSON file holds them."""
    say(f"a run over {FEW} photos")
    tasks = bench.tasks()
    load = [os.getloadavg()[0]]
    curve = [(FEW, tasks["command, all in all"])]
    for repetition in range(1, options["repetitions"] + 1):
        say(f"repetition {repetition}")
        measurements: tuple[Callable[[], None], ...] = (bench.limits, bench.steps, bench.whole)
        for measurement in measurements:
            measurement()
        load.append(os.getloadavg()[0])
        points = [*curve, *bench.curve(options["curve"])]
        yield results(bench, options, load) | {"tasks": tasks, "curve": points}


def results(bench: Bench, options: dict[str, Any], load: list[float]) -> dict[str, Any]:
    return {
        "made_at": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "asked": {**options, "repetitions": len(bench.whole_rates["ours"])},
        "machine": {**machine(bench.cores), "load": [round(x, 1) for x in load]},
        "versions": bench.versions | versions(),
        "rates": bench.rates,
        "walls": bench.walls,
        "whole_rates": bench.whole_rates,
        "agreement": bench.agreement,
        "least_cosine": peers_runner.LEAST_COSINE,
    }


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


if __name__ == "__main__":
    main()
