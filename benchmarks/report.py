"""The report of a benchmark: a JSON file with all figures, a Markdown table, a chart.

python -m benchmarks.report     writes the table and the chart again from the JSON file
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.arithmetic import Spread, fit, ratios

RESULTS = Path(__file__).parent / "results"

NAMES = {
    "inference": "limit: inference loop",
    "decode": "limit: decode and resize loop",
    "fused": "limit: fused loop",
    "ingest": "step ingest",
    "validate": "step validate",
    "resize": "step resize, isolation included",
    "featurize": "step featurize",
    "ours": "image features",
    "daft": "Daft",
    "ray": "Ray Data",
    "notebook": "the notebook",
}
STEPS = ("ingest", "validate", "resize", "featurize")
CONTESTANTS = ("fused", "ours", "daft", "ray", "notebook")


def write(results: dict[str, Any], name: str) -> str:
    """Write `<name>.json`, `<name>.md` and `<name>.png` into the results folder. Returns the Markdown."""
    RESULTS.mkdir(exist_ok=True)
    text = markdown(results)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(text)
    draw(results, RESULTS / f"{name}.png")
    return text


def markdown(results: dict[str, Any]) -> str:
    """The tables of the results, as docs/performance.md shows them."""
    asked, machine = results["asked"], results["machine"]
    parts = [
        f"{results['made_at']}, {machine['cores']} cores ({machine['cpu']}), {machine['memory_gb']} GB, "
        f"{asked['repetitions']} × everything in turn: medians, in brackets the smallest and the largest. "
        f"{asked['images']:,} photos for the steps and the equal work, {asked['whole']:,} for the whole run (the "
        "notebook's in the first repetition alone). "
        f"Load average before the first repetition and after each: {', '.join(str(x) for x in machine['load'])}.",
        table(("What", "Ratio", "Target", ""), _ratio_rows(results)),
        table((f"{asked['images']:,} photos", "images/s", "wall, s"), _rate_rows(results)),
        table((f"Whole run, {asked['whole']:,} photos", "images/s", "wall, s"), _whole_rows(results)),
        table(("Photos", "whole run, s", "the line says"), _curve_rows(results)),
        _line(results),
        "A run over 20 photos, seconds: " + ", ".join(f"{task} {s:.1f}" for task, s in results["tasks"].items()) + ".",
        "Smallest cosine between a peer's vectors and ours: "
        + ", ".join(f"{NAMES[peer]} {cosine:.6f}" for peer, cosine in results["agreement"].items())
        + ".",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in results["versions"].items()) + ".",
    ]
    return "\n\n".join(parts) + "\n"


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the chart: bars of images a second, for equal work and for whole runs, with lines from least to most."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.2), sharey=True)
    asked = results["asked"]
    panels = (
        (f"Equal work, {asked['images']:,} photos", results["rates"]),
        (f"Whole run, {asked['whole']:,} photos", results["whole_rates"]),
    )
    for axis, (title, rates) in zip(axes, panels, strict=True):
        spreads = [Spread.of(rates[name]) for name in CONTESTANTS]
        medians = [s.median for s in spreads]
        errors = [[s.median - s.least for s in spreads], [s.most - s.median for s in spreads]]
        colors = ["#b8b8b8", "#1f77b4", "#e0a458", "#e0a458", "#e0a458"]
        labels = [NAMES[name] for name in CONTESTANTS]
        axis.barh(labels, medians, color=colors, xerr=errors, ecolor="#404040", capsize=3)
        for row, spread in enumerate(spreads):
            axis.text(spread.most, row, f"  {spread.median:,.0f}", va="center", fontsize=9)
        axis.set_title(title, fontsize=10)
        axis.set_xlim(0, 1.18 * max(s.most for s in spreads))
        axis.locator_params(axis="x", nbins=6)
        axis.set_xlabel("images/s, more is better", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _ratio_rows(results: dict[str, Any]) -> list[tuple[str, ...]]:
    return [(f"{r.what} / {r.by}", spread_text(r.spread, 2), f"≥ {r.at_least:g}", r.verdict) for r in ratios(results)]


def _rate_rows(results: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, label in NAMES.items():
        label = label if name not in CONTESTANTS[1:] else f"equal work: {label}"
        rates, walls = Spread.of(results["rates"][name]), Spread.of(results["walls"][name])
        rows.append((label, spread_text(rates, 0), spread_text(walls, 1)))
    return rows


def _whole_rows(results: dict[str, Any]) -> list[tuple[str, ...]]:
    count, rates = results["asked"]["whole"], results["whole_rates"]
    return [
        (
            NAMES[name],
            spread_text(Spread.of(rates[name]), 0),
            spread_text(Spread.of([count / rate for rate in rates[name]]), 1),
        )
        for name in CONTESTANTS
    ]


def _curve_rows(results: dict[str, Any]) -> list[tuple[str, ...]]:
    fixed, each = fit(results["curve"])
    return [(f"{count:,}", f"{seconds:.1f}", f"{fixed + each * count:.1f}") for count, seconds in results["curve"]]


def _line(results: dict[str, Any]) -> str:
    fixed, each = fit(results["curve"])
    return f"The line: {fixed:.1f} s + {1000 * each:.2f} s for each 1,000 photos ({1 / each:.0f} images/s)."


def spread_text(spread: Spread, digits: int) -> str:
    """
    >>> spread_text(Spread(1234.5, 1000, 2000), 0)
    '1,234 (1,000 to 2,000)'
    """
    return f"{spread.median:,.{digits}f} ({spread.least:,.{digits}f} to {spread.most:,.{digits}f})"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    print(write(json.loads((RESULTS / "bench.json").read_text()), "bench"))
