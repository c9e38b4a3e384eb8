"""A billion images, calculated from measurements of few.

    python -m benchmarks.scale count        counts the requests and bytes of runs over 512 photos: results/scale.json
    python -m benchmarks.scale              writes results/scale.md, and its tables into docs/scale.md

Rates come from bench.json (`make bench`), memory from many.json (`python -m benchmarks.driver_memory`).
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

from benchmarks import documents
from benchmarks.report import RESULTS, table
from imagefeatures.run_params import RunParams
from imagefeatures.settings import REPOSITORY
from imagefeatures.steps import SPARK_STEPS

DOCUMENT = REPOSITORY / "docs" / "scale.md"
BEGIN, END = "<!-- begin: python -m benchmarks.scale -->\n", "<!-- end -->\n"
IMAGES = 1_000_000_000
LIST_PAGE = 1000  # keys in one page of an S3 listing
SHARD_IMAGES = RunParams().shard_images
STEPS = (*SPARK_STEPS, "register")
MOVED = {
    "ingest": (("source",), ("raw",)),
    "validate": (("raw",), ("verdicts",)),
    "resize": (("verdicts", "raw"), ("pixels",)),
    "featurize": (("pixels",), ("features",)),
    "register": (("features",), ()),
}
"""What each step reads and writes of an image, by the names in scale.json."""


@dataclass(frozen=True)
class Prices:
    """Assumed prices of machines and stores, to be replaced by your own. They are not those of any provider."""

    core_hour: float = 0.05
    thousand_writes: float = 0.005  # PUT and LIST
    thousand_reads: float = 0.0004  # GET


def requests(counted: dict[str, Any], step: str, images: int) -> dict[str, float]:
    """The requests of a step over so many images. counted: the contents of scale.json."""
    shards = math.ceil(images / SHARD_IMAGES)
    requests_of = counted["requests"][step]
    return {kind: requests_of["image"][kind] * images + requests_of["shard"][kind] * shards for kind in ("GET", "PUT")}


def markdown(counted: dict[str, Any], bench: dict[str, Any], memory: dict[str, Any], prices: Prices) -> str:
    """The tables of docs/scale.md. counted, bench, memory: the contents of scale.json, bench.json and many.json."""
    machine = bench["machine"]
    parts = [
        f"{IMAGES:,} images in shards of {SHARD_IMAGES}: {math.ceil(IMAGES / SHARD_IMAGES):,} shards. Rates: "
        f"`bench.json` of {bench['made_at']}, {machine['cores']} cores ({machine['cpu']}), load {machine['load'][0]} "
        f"before it. Bytes and requests: counted over {counted['images']} photos of "
        f"{counted['bytes']['source']:,.0f} bytes on average.",
        table(
            ("Step", "read, bytes an image", "written, bytes an image", "TB read", "TB written"), _byte_rows(counted)
        ),
        table(("Step", "GET", "PUT", "GET a second at 1,000 cores"), _request_rows(counted, bench)),
        table(("Step", "images/s a core", "core-hours a million", "core-years for all"), _core_rows(bench)),
        table(("What", "a million images", "all"), _price_rows(counted, bench, prices)),
        table(("In one partition", "measured", "for each shard", "for all"), _driver_rows(counted, memory)),
    ]
    return "\n\n".join(parts) + "\n"


def _byte_rows(counted: dict[str, Any]) -> list[tuple[str, ...]]:
    sizes = counted["bytes"]
    rows = []
    for step, (read, written) in MOVED.items():
        read_bytes, written_bytes = (sum(sizes[name] for name in names) for names in (read, written))
        terabytes = (f"{IMAGES * amount / 1e12:,.1f}" for amount in (read_bytes, written_bytes))
        rows.append((step, f"{read_bytes:,.0f}", f"{written_bytes:,.0f}", *terabytes))
    return rows


def _rate(bench: dict[str, Any], step: str) -> float:
    """Images a second on one core: the median of the repetitions."""
    return float(statistics.median(bench["rates"][step]) / bench["machine"]["cores"])


def _request_rows(counted: dict[str, Any], bench: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for step in STEPS:
        total = requests(counted, step, IMAGES)
        rate = f"{1000 * _rate(bench, step) * total['GET'] / IMAGES:,.0f}" if step in SPARK_STEPS else ""
        rows.append((step, f"{total['GET']:,.0f}", f"{total['PUT']:,.0f}", rate))
    return [*rows, ("the listing", f"{IMAGES / LIST_PAGE:,.0f} (LIST)", "0", "")]


def _core_rows(bench: dict[str, Any]) -> list[tuple[str, ...]]:
    rates = {step: _rate(bench, step) for step in SPARK_STEPS}
    rates["all four"] = 1 / sum(1 / rate for rate in rates.values())
    return [
        (step, f"{rate:,.0f}", f"{1e6 / rate / 3600:,.1f}", f"{IMAGES / rate / 3600 / 8766:,.2f}")
        for step, rate in rates.items()
    ]


def _price_rows(counted: dict[str, Any], bench: dict[str, Any], prices: Prices) -> list[tuple[str, ...]]:
    million = 1_000_000
    hours = sum(million / _rate(bench, step) / 3600 for step in SPARK_STEPS)
    of_steps = [requests(counted, step, million) for step in STEPS]
    reads = sum(of_step["GET"] for of_step in of_steps)
    writes = sum(of_step["PUT"] for of_step in of_steps) + million / LIST_PAGE
    costs = {
        f"cores, at {prices.core_hour} an hour": hours * prices.core_hour,
        f"GET, at {prices.thousand_reads} a thousand": reads / 1000 * prices.thousand_reads,
        f"PUT and LIST, at {prices.thousand_writes} a thousand": writes / 1000 * prices.thousand_writes,
    }
    costs["together"] = sum(costs.values())
    return [(what, f"{cost:,.3f}", f"{cost * IMAGES / million:,.0f}") for what, cost in costs.items()]


def _driver_rows(counted: dict[str, Any], memory: dict[str, Any]) -> list[tuple[str, ...]]:
    few, many = min(memory, key=int), max(memory, key=int)
    shards = math.ceil(IMAGES / SHARD_IMAGES)
    more_shards = math.ceil(int(many) / SHARD_IMAGES) - math.ceil(int(few) / SHARD_IMAGES)
    rows = []
    processes = (
        ("driver of validate", "validate", "driver"),
        ("its JVM", "validate", "jvm"),
        ("register", "register", "driver"),
    )
    for label, step, kind in processes:
        small, large = memory[few][step][kind], memory[many][step][kind]
        kib_a_shard = max(large - small, 0) * 1024 / more_shards
        measured = f"{small:.0f} MiB at {int(few):,}, {large:.0f} MiB at {int(many):,}"
        gib = (small + kib_a_shard * shards / 1024) / 1024
        rows.append((label, measured, f"{kib_a_shard:.1f} KiB", f"{gib:,.1f} GiB"))
    iceberg = counted["iceberg"]
    entry = iceberg["bytes_an_entry"]
    measured = f"{iceberg['files']} files in {iceberg['manifests']} manifest of {iceberg['manifest_bytes']:,} bytes"
    total = f"{shards * entry / 2**30:.2f} GiB, {shards:,} entries"
    return [*rows, ("the commit's manifest", measured, f"{entry:,.0f} bytes", total)]


def count() -> dict[str, Any]:
    """Count the requests and bytes of 512 photos, in one shard and in 32. Returns the contents of scale.json."""
    from benchmarks.counting import counted_runs

    single, split = counted_runs(SHARD_IMAGES, (SHARD_IMAGES, SHARD_IMAGES // 32))
    more_shards = split["shards"] - single["shards"]
    more_bytes = split["iceberg"]["manifest_bytes"] - single["iceberg"]["manifest_bytes"]
    return {
        "images": SHARD_IMAGES,
        "bytes": single["bytes"],
        "requests": {step: _split(single["requests"][step], split["requests"][step], more_shards) for step in STEPS},
        "iceberg": split["iceberg"] | {"bytes_an_entry": more_bytes / more_shards},
    }


def _split(single: Counter[str], split: Counter[str], more_shards: int) -> dict[str, dict[str, float]]:
    """The requests for each shard and for each image.

    single, split: the requests for 512 images in one shard, and in `more_shards` shards more.
    """
    shard = {kind: (split[kind] - single[kind]) / more_shards for kind in ("GET", "PUT")}
    # The rest, less than one request for each image, is a handful for each run, however large it is.
    return {"shard": shard, "image": {kind: (single[kind] - shard[kind]) // SHARD_IMAGES for kind in ("GET", "PUT")}}


def results() -> str:
    """The tables, from the files in the results folder."""
    files = {name: json.loads((RESULTS / f"{name}.json").read_text()) for name in ("scale", "bench", "many")}
    return markdown(files["scale"], files["bench"], files["many"], Prices())


def main() -> None:
    if sys.argv[1:2] == ["count"]:
        (RESULTS / "scale.json").write_text(json.dumps(count(), indent=1) + "\n")
    text = results()
    (RESULTS / "scale.md").write_text(text)
    documents.put(DOCUMENT, BEGIN, END, text.splitlines())


if __name__ == "__main__":
    main()
