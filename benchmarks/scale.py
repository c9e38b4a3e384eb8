"""One billion images on paper: what was measured on few, multiplied.

    python -m benchmarks.scale count        a run of 512 photos, its requests and bytes counted, into results/scale.json
    python -m benchmarks.scale              results/scale.md and its place in docs/scale.md, from what lies in results

Rates come from bench.json (`make bench`), memory from many.json (`python -m benchmarks.many`).
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

from benchmarks.report import RESULTS, table
from imagefeatures.datasets import RunParams
from imagefeatures.settings import REPOSITORY
from imagefeatures.steps import SPARK_STEPS

DOCUMENT = REPOSITORY / "docs" / "scale.md"
BEGIN, END = "<!-- begin: python -m benchmarks.scale -->\n", "<!-- end -->\n"
IMAGES = 1_000_000_000
LIST_PAGE = 1000  # keys that S3 tells with one listing request
SHARD_IMAGES = RunParams().shard_images
STEPS = (*SPARK_STEPS, "register")
MOVED = {
    "ingest": (("source",), ("raw",)),
    "validate": (("raw",), ("verdicts",)),
    "resize": (("verdicts", "raw"), ("pixels",)),
    "featurize": (("pixels",), ("features",)),
    "register": (("features",), ()),
}
"""What a step reads of an image and writes of it, by the names in scale.json."""


@dataclass(frozen=True)
class Prices:
    """What a machine and a store ask for; put in your own. None of them is a fact about any provider."""

    core_hour: float = 0.05
    thousand_writes: float = 0.005  # PUT and LIST
    thousand_reads: float = 0.0004  # GET


def requests(counted: dict[str, Any], step: str, images: int) -> dict[str, float]:
    """Requests of a step over so many images. counted: scale.json; what is asked for each image and for each shard."""
    shards = math.ceil(images / SHARD_IMAGES)
    each = counted["requests"][step]
    return {kind: each["image"][kind] * images + each["shard"][kind] * shards for kind in ("GET", "PUT")}


def markdown(counted: dict[str, Any], bench: dict[str, Any], many: dict[str, Any], prices: Prices) -> str:
    """The tables of docs/scale.md."""
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
        table(("In one partition", "measured", "for each shard", "for all"), _driver_rows(counted, many)),
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
    """Images a second a core: the median of the repetitions."""
    found = sorted(bench["rates"][step])
    middle = (found[(len(found) - 1) // 2] + found[len(found) // 2]) / 2
    return middle / bench["machine"]["cores"]


def _request_rows(counted: dict[str, Any], bench: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for step in STEPS:
        found = requests(counted, step, IMAGES)
        rate = f"{1000 * _rate(bench, step) * found['GET'] / IMAGES:,.0f}" if step in SPARK_STEPS else ""
        rows.append((step, f"{found['GET']:,.0f}", f"{found['PUT']:,.0f}", rate))
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
    asked = [requests(counted, step, million) for step in STEPS]
    writes = sum(found["PUT"] for found in asked) + million / LIST_PAGE
    found = {
        f"cores, at {prices.core_hour} an hour": hours * prices.core_hour,
        f"GET, at {prices.thousand_reads} a thousand": sum(a["GET"] for a in asked) / 1000 * prices.thousand_reads,
        f"PUT and LIST, at {prices.thousand_writes} a thousand": writes / 1000 * prices.thousand_writes,
    }
    found["together"] = sum(found.values())
    return [(what, f"{price:,.3f}", f"{price * IMAGES / million:,.0f}") for what, price in found.items()]


def _driver_rows(counted: dict[str, Any], many: dict[str, Any]) -> list[tuple[str, ...]]:
    few, most = min(many, key=int), max(many, key=int)
    small, large = many[few], many[most]
    shards = math.ceil(IMAGES / SHARD_IMAGES)
    more = math.ceil(int(most) / SHARD_IMAGES) - math.ceil(int(few) / SHARD_IMAGES)
    rows = []
    processes = (
        ("driver of validate", "validate", "driver"),
        ("its JVM", "validate", "jvm"),
        ("register",) * 2 + ("driver",),
    )
    for label, step, kind in processes:
        each = max(large[step][kind] - small[step][kind], 0) * 1024 / more
        measured = f"{small[step][kind]:.0f} MiB at {int(few):,}, {large[step][kind]:.0f} MiB at {int(most):,}"
        whole = (small[step][kind] + each * shards / 1024) / 1024
        rows.append((label, measured, f"{each:.1f} KiB", f"{whole:,.1f} GiB"))
    iceberg = counted["iceberg"]
    entry = iceberg["bytes_an_entry"]
    measured = f"{iceberg['files']} files in {iceberg['manifests']} manifest of {iceberg['manifest_bytes']:,} bytes"
    return [
        *rows,
        (
            "the commit's manifest",
            measured,
            f"{entry:,.0f} bytes",
            f"{shards * entry / 2**30:.2f} GiB, {shards:,} entries",
        ),
    ]


def count() -> dict[str, Any]:
    """Take 512 photos through every step, once in one shard and once in 32, and count what the store is asked."""
    from benchmarks.counting import counted_runs

    one, many = counted_runs(SHARD_IMAGES, (SHARD_IMAGES, SHARD_IMAGES // 32))
    more = many["shards"] - one["shards"]
    grown = many["iceberg"]["manifest_bytes"] - one["iceberg"]["manifest_bytes"]
    return {
        "images": SHARD_IMAGES,
        "bytes": one["bytes"],
        "requests": {step: _split(one["requests"][step], many["requests"][step], more) for step in STEPS},
        "iceberg": many["iceberg"] | {"bytes_an_entry": grown / more},
    }


def _split(one: Counter[str], many: Counter[str], more: int) -> dict[str, dict[str, float]]:
    """Of requests for 512 images in one shard and in so many more: how many are for a shard, how many for an image."""
    shard = {kind: (many[kind] - one[kind]) / more for kind in ("GET", "PUT")}
    # What is left over, less than one an image, is the run's own: a handful, however large the run.
    return {"shard": shard, "image": {kind: (one[kind] - shard[kind]) // SHARD_IMAGES for kind in ("GET", "PUT")}}


def results() -> str:
    """The tables, from the files that lie in results."""
    read = {name: json.loads((RESULTS / f"{name}.json").read_text()) for name in ("scale", "bench", "many")}
    return markdown(read["scale"], read["bench"], read["many"], Prices())


def main() -> None:
    if sys.argv[1:2] == ["count"]:
        (RESULTS / "scale.json").write_text(json.dumps(count(), indent=1) + "\n")
    text = results()
    (RESULTS / "scale.md").write_text(text)
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + text + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
