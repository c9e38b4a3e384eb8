"""The report of `make bench SIZES=…`: a JSON file with every measurement, tables, and a chart by size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import documents
from benchmarks.arithmetic import Ratio, Spread, ratio
from benchmarks.peers_runner import LEAST_COSINE
from benchmarks.photos.sets import SETS
from benchmarks.report import NAMES, RESULTS, spread_text, table

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- begin: make bench SIZES=… -->\n", "<!-- end: make bench SIZES=… -->\n"

Results = dict[str, list[dict[str, Any]]]
"""Set: its repetitions, as benchmarks.sizes measures them."""

RATIOS = {
    ("rates", "resize", "decode"): "resize step / plain Pillow loop",
    ("rates", "ours", "daft"): "equal work / Daft",
    ("rates", "ours", "fused"): "equal work / the fused loop",
    ("whole_rates", "ours", "daft"): "whole run / Daft",
    ("rates", "ours, busy", "daft"): "equal work while a worker is busy / Daft",
    ("rates", "ours, busy", "fused"): "equal work while a worker is busy / the fused loop",
    ("rates", "ours", "ray"): "equal work / Ray Data",
    ("whole_rates", "ours", "ray"): "whole run / Ray Data",
    ("rates", "ours", "limit"): "equal work / the decoder and inference alone",
    ("rates", "resize", "library"): "resize step / the decoder alone",
}
"""(rates, those of one name, by those of another): what the ratio is called."""

TARGETS = {
    "resize step / plain Pillow loop": {"S348": 2.0, "S640": 1.8, "S1024": 1.8, "S12MP": 2.5},
    "equal work / Daft": {"S348": 1.15, "S640": 1.25, "S1024": 1.35, "S12MP": 2.2},
    "equal work / the fused loop": {"S348": 1.05, "S640": 1.15, "S1024": 1.3, "S12MP": 2.0},
    "whole run / Daft": {"S348": 1.0, "S640": 1.1, "S1024": 1.2, "S12MP": 2.0},
}
ROWS = {
    "inference": NAMES["inference"],
    "decode": NAMES["decode"],
    "library": "limit: the decoder alone",
    "limit": "limit: the decoder, then inference",
    "fused": NAMES["fused"],
    "ingest": NAMES["ingest"],
    "validate": NAMES["validate"],
    "resize": NAMES["resize"],
    "featurize": NAMES["featurize"],
    "ours": "equal work: image features",
    "daft": "equal work: Daft",
    "ray": "equal work: Ray Data",
    "notebook": "equal work: the notebook",
}
WHOLE = {"ours": "image features", "daft": "Daft", "ray": "Ray Data", "notebook": "the notebook"}

LINES = {
    "limit": ("limit", "#767676", ":"),
    "ours": ("image features", "#1f77b4", "-"),
    "daft": ("Daft", "#d9731a", "-"),
    "ray": ("Ray Data", "#8c564b", "-"),
    "fused": ("fused loop", "#2a9d5c", "--"),
}
"""What the chart shows: its name, colour and kind of line."""


def limit(rates: dict[str, float]) -> float:
    """Images a second of the decoder alone and the inference loop one after the other.

    >>> limit({"library": 300.0, "inference": 150.0})
    100.0
    """
    return 1 / (1 / rates["library"] + 1 / rates["inference"])


def write(results: Results) -> str:
    """Write `sizes.json`, `sizes.md` and, of two JPEG sets or more, `sizes.png`. Returns the Markdown."""
    RESULTS.mkdir(exist_ok=True)
    text = markdown(results)
    (RESULTS / "sizes.json").write_text(json.dumps(results, indent=1) + "\n")
    (RESULTS / "sizes.md").write_text(text)
    draw(results)
    return text


def tell(text: str) -> None:
    """Write the tables into docs/performance.md."""
    documents.put(DOCUMENT, BEGIN, END, text.splitlines())


def markdown(results: Results) -> str:
    """The tables of the results, as docs/performance.md shows them."""
    newest = [repetitions[-1] for repetitions in results.values()]
    machine, versions = newest[0]["machine"], {name: v for one in newest for name, v in one["versions"].items()}
    failures = {
        f"{NAMES[peer]} over {name}: {' '.join(text.split())[:200]}"
        for name, repetitions in results.items()
        for one in repetitions
        for peer, text in one["failures"].items()
    }
    heads = tuple(results)
    parts = [
        f"{min(r[0]['made_at'] for r in results.values())} to {max(one['made_at'] for one in newest)}, "
        f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gb']} GB: medians of the repetitions, in "
        "brackets the smallest and the largest.",
        table(("", *heads), _set_rows(results)),
        table(("Ratio (target)", *heads), [(what, *_ratios(results, what)) for what in RATIOS.values()]),
        table(("images/s", *heads), [(label, *_rates(results, "rates", name)) for name, label in ROWS.items()]),
        table(
            ("Whole run, images/s", *heads),
            [(label, *_rates(results, "whole_rates", name)) for name, label in WHOLE.items()],
        ),
        *(f"Failed: {failure}" for failure in sorted(failures)),
        "Smallest cosine between a peer's vectors and ours: "
        + "; ".join(f"{name} {_cosines(repetitions)}" for name, repetitions in results.items())
        + ".",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
    ]
    return "\n\n".join(parts) + "\n"


def ratios(results: Results, what: str) -> dict[str, Ratio]:
    """Set: a ratio of RATIOS, for the sets that have it measured. A set without a target has 0 there."""
    ((kind, name, by),) = [key for key, called in RATIOS.items() if called == what]
    found = {}
    for photos, repetitions in results.items():
        both = [(one[kind][name], one[kind][by]) for one in repetitions if {name, by} <= one[kind].keys()]
        if both:
            cosine = min((one["agreement"].get(by, 1.0) for one in repetitions), default=1.0)
            void = f"its vectors differ (cosine {cosine:.4f})" if cosine < LEAST_COSINE else ""
            spread = ratio(*zip(*both, strict=True))
            found[photos] = Ratio(name, by, spread, TARGETS.get(what, {}).get(photos, 0), void)
    return found


def draw(results: Results) -> None:
    """Draw the chart: images a second by pixels of a photo, both logarithmic, with lines from least to most."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    sets = [name for name in results if SETS[name].suffix == ".jpg"]
    if len(sets) < 2:
        return
    figure, axis = pyplot.subplots(figsize=(8, 4.2), facecolor="white")
    ends = []
    for name, (label, color, style) in LINES.items():
        found = {s: [one["rates"][name] for one in results[s] if name in one["rates"]] for s in sets}
        points = [(_megapixels(s), Spread.of(rates)) for s, rates in found.items() if rates]
        if points:
            x, spreads = zip(*points, strict=True)
            y = [s.median for s in spreads]
            errors = [[s.median - s.least for s in spreads], [s.most - s.median for s in spreads]]
            axis.errorbar(x, y, errors, color=color, linestyle=style, marker="o", markersize=4, capsize=3)
            ends.append((y[-1], x[-1], label, color))
    last = 0.0
    for height, right, label, color in sorted(ends):
        last = max(height, 1.17 * last)  # names that would lie on each other are moved apart
        axis.annotate(
            f"{label} {height:,.0f}" if height >= 20 else f"{label} {height:.1f}",
            (right, last), (9, 0), textcoords="offset points", va="center", color=color, fontsize=9,
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks([_megapixels(name) for name in sets], [_tick(results, name) for name in sets], fontsize=9)
    axis.xaxis.set_minor_locator(ticker.NullLocator())
    axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_locator(ticker.NullLocator())
    axis.grid(axis="y", color="#e4e4e4", linewidth=0.7)
    axis.set_xlim(0.8 * _megapixels(sets[0]), 4.2 * _megapixels(sets[-1]))
    axis.set_ylabel("images/s, more is better", fontsize=9)
    axis.set_title("Equal work on the same engine: files to vectors, by size of the photo", fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(RESULTS / "sizes.png", dpi=110)
    pyplot.close(figure)


def _megapixels(name: str) -> float:
    return SETS[name].width * SETS[name].height / 1e6


def _tick(results: Results, name: str) -> str:
    size = results[name][0]["bytes"] / results[name][0]["photos"] / 1000
    return f"{SETS[name].width} × {SETS[name].height}\n{size:,.0f} kB"


def _set_rows(results: Results) -> list[tuple[str, ...]]:
    columns = results.items()
    return [
        ("pixels", *(f"{SETS[name].width} × {SETS[name].height}" for name in results)),
        ("kB a photo", *(f"{r[0]['bytes'] / r[0]['photos'] / 1000:,.0f}" for r in results.values())),
        ("photos", *(f"{repetitions[0]['photos']:,}" for _, repetitions in columns)),
        ("repetitions", *(str(len(repetitions)) for _, repetitions in columns)),
        ("load before and after each", *(_loads(repetitions) for _, repetitions in columns)),
    ]


def _loads(repetitions: list[dict[str, Any]]) -> str:
    return ", ".join("–".join(str(load) for load in one["machine"]["load"]) for one in repetitions)


def _ratios(results: Results, what: str) -> list[str]:
    found = ratios(results, what)
    return [_judged(found[name]) if name in found else "" for name in results]


def _judged(found: Ratio) -> str:
    text = spread_text(found.spread, 2)
    if found.void or found.at_least:
        text += f" (≥ {found.at_least:g}) {found.verdict}" if found.at_least else f" {found.verdict}"
    return text


def _rates(results: Results, kind: str, name: str) -> list[str]:
    cells = []
    for repetitions in results.values():
        rates = [one[kind][name] for one in repetitions if name in one[kind]]
        cells.append(spread_text(Spread.of(rates), 1 if rates and max(rates) < 100 else 0) if rates else "")
    return cells


def _cosines(repetitions: list[dict[str, Any]]) -> str:
    least: dict[str, float] = {}
    for one in repetitions:
        for peer, cosine in one["agreement"].items():
            least[peer] = min(cosine, least.get(peer, 1.0))
    return ", ".join(f"{NAMES[peer]} {cosine:.6f}" for peer, cosine in least.items())
