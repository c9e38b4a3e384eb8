"""`make bench SIZES=…`: limits, steps, peers and whole runs over sets of photos of several sizes.

    python -m benchmarks.sizes SETS [--images N] [--repetitions R] [--report]

SETS: names of benchmarks.photos.sets, each with a number of photos of its own if wanted (`S640=300`), or `all`. The
sets take turns within a repetition. `.bench/sizes/<set>-<photos>/<repetition>.json` keeps each repetition of a set: a
benchmark that was interrupted goes on by the same command. To measure anew, remove that folder. With --report nothing
is measured, and the tables are written into docs/performance.md too.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import peers_runner, sizes_report
from benchmarks.bench import FEW, Bench, machine, say, versions
from benchmarks.photos.sets import make_set, parse_sizes
from imagefeatures.settings import REPOSITORY, Settings

KEPT = REPOSITORY / ".bench" / "sizes"
NOT_COMPARED = "notebook"
"""A peer of the first set's first repetition alone: it takes longer than the others, and there is no target for it."""


def main() -> None:
    options = parse()
    sizes = parse_sizes(options.sizes, options.images)
    benches: dict[str, Bench] = {}
    with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as folder:
        for repetition in range(1, options.repetitions + 1):
            for name, count in sizes.items():
                file = KEPT / f"{name}-{count}" / f"{repetition}.json"
                if file.exists() or options.report:
                    say(f"{name}, repetition {repetition}: {'kept' if file.exists() else 'not measured'}")
                    continue
                if name not in benches:
                    benches[name] = prepare(Path(folder) / name, name, count)
                say(f"{name}, {count:,} photos, repetition {repetition}")
                measured = measure(benches[name], first=repetition == 1 and name == next(iter(sizes)))
                file.parent.mkdir(parents=True, exist_ok=True)
                draft = file.with_suffix(".part")
                draft.write_text(json.dumps(measured, indent=1) + "\n")
                draft.replace(file)
                sizes_report.write(kept(sizes))  # after each, so that a failure loses only one
    if results := kept(sizes):
        text = sizes_report.write(results)
        print(text)
        if options.report:
            sizes_report.tell(text)


def prepare(folder: Path, name: str, count: int) -> Bench:
    """The photos, and a deployment with an Airflow that has run before: its database is not part of a whole run."""
    say(f"{name}: making what is missing of {count:,} photos")
    made = make_set(name, {FEW, count}, Settings.from_env().cache)
    folder.mkdir()
    bench = Bench(folder, made, count, count)
    bench.whole_run(FEW)
    return bench


def measure(bench: Bench, first: bool) -> dict[str, Any]:
    """Everything once. A peer's query is its equal work, its whole process its whole run, the fused loop is both.

    first: with NOT_COMPARED.
    """
    for earlier in (bench.rates, bench.walls, bench.whole_rates, bench.agreement):
        earlier.clear()
    load = [os.getloadavg()[0]]
    bench.limits()
    bench.note("library", bench.limit("library", bench.images))
    failures: dict[str, str] = {}
    bench.steps([peer for peer in peers_runner.PEERS if first or peer != NOT_COMPARED], failures)
    bench.note_whole("fused", bench.walls["fused"][0])
    for peer in peers_runner.PEERS:
        if peer in bench.walls:
            bench.note_whole(peer, bench.walls[peer][0] + bench.rates[f"{peer}, start-up"][0])
    bench.note_whole("ours", bench.whole_run(bench.whole_images).wall)
    load.append(os.getloadavg()[0])
    rates = {name: column[0] for name, column in bench.rates.items()}
    return {
        "made_at": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "photos": bench.images,
        "bytes": sum(file.stat().st_size for file in bench.files[bench.images]),
        "machine": {**machine(bench.cores), "load": [round(x, 1) for x in load]},
        "versions": bench.versions | versions(),
        "rates": {**rates, "limit": sizes_report.limit(rates)},
        "whole_rates": {name: column[0] for name, column in bench.whole_rates.items()},
        "agreement": bench.agreement,
        "failures": failures,
    }


def kept(sizes: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
    """Set: its repetitions that are measured, for the sets that have any."""
    found = {
        name: [json.loads(file.read_text()) for file in sorted((KEPT / f"{name}-{count}").glob("*.json"))]
        for name, count in sizes.items()
    }
    return {name: repetitions for name, repetitions in found.items() if repetitions}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sizes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sizes", metavar="SETS")
    parser.add_argument("--images", type=int, default=0, help="photos of each set that names no number")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--report", action="store_true", help="write the tables and the chart again")
    return parser.parse_args()


if __name__ == "__main__":
    main()
