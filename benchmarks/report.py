"""What a run of the benchmark leaves behind: a JSON file with all figures, a Markdown table, a chart.

python -m benchmarks.report writes table and chart anew from the JSON file.
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


def write(found: dict[str, Any], name: str) -> str:
    """Write `<name>.json`, `<name>.md` and `<name>.png` into the results folder; returns the Markdown."""
    RESULTS.mkdir(exist_ok=True)
    text = markdown(found)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(text)
    draw(found, RESULTS / f"{name}.png")
    return text


def markdown(found: dict[str, Any]) -> str:
    asked, machine = found["asked"], found["machine"]
    parts = [
        f"{found['made_at']}, {machine['cores']} cores ({machine['cpu']}), {machine['memory_gb']} GB, "
        f"{asked['repetitions']} × everything in turn: medians, in brackets the smallest and the largest. "
        f"{asked['images']:,} photos for the steps and the equal work, {asked['whole']:,} for the whole run (the "
        "notebook's in the first repetition alone). "
        f"Load average before the first repetition and after each: {', '.join(str(x) for x in machine['load'])}.",
        table(("What", "Ratio", "Target", ""), _ratio_rows(found)),
        table((f"{asked['images']:,} photos", "images/s", "wall, s"), _rate_rows(found)),
        table((f"Whole run, {asked['whole']:,} photos", "images/s", "wall, s"), _whole_rows(found)),
        table(("Photos", "whole run, s", "the line says"), _curve_rows(found)),
        _line(found),
        "A run over 20 photos, seconds: " + ", ".join(f"{task} {s:.1f}" for task, s in found["tasks"].items()) + ".",
        "Smallest cosine between a peer's vectors and ours: "
        + ", ".join(f"{NAMES[peer]} {cosine:.6f}" for peer, cosine in found["agreement"].items())
        + ".",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in found["versions"].items()) + ".",
    ]
    return "\n\n".join(parts) + "\n"


def draw(found: dict[str, Any], path: Path) -> None:
    """Two panels of bars, equal work and whole run: images a second, the thin line from the slowest to the fastest."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.2), sharey=True)
    asked = found["asked"]
    panels = (
        (f"Equal work, {asked['images']:,} photos", found["rates"]),
        (f"Whole run, {asked['whole']:,} photos", found["whole_rates"]),
    )
    for axis, (title, rates) in zip(axes, panels, strict=True):
        spreads = [Spread.of(rates[name]) for name in CONTESTANTS]
        middle = [s.median for s in spreads]
        reach = [[s.median - s.least for s in spreads], [s.most - s.median for s in spreads]]
        colors = ["#b8b8b8", "#1f77b4", "#e0a458", "#e0a458", "#e0a458"]
        axis.barh([NAMES[name] for name in CONTESTANTS], middle, color=colors, xerr=reach, ecolor="#404040", capsize=3)
        for at, spread in enumerate(spreads):
            axis.text(spread.most, at, f"  {spread.median:,.0f}", va="center", fontsize=9)
        axis.set_title(title, fontsize=10)
        axis.set_xlim(0, 1.18 * max(s.most for s in spreads))
        axis.locator_params(axis="x", nbins=6)
        axis.set_xlabel("images/s, more is better", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _ratio_rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    return [(f"{r.what} / {r.by}", _spread(r.spread, 2), f"≥ {r.at_least:g}", r.verdict) for r in ratios(found)]


def _rate_rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for name, label in NAMES.items():
        label = label if name not in CONTESTANTS[1:] else f"equal work: {label}"
        rows.append((label, _spread(Spread.of(found["rates"][name]), 0), _spread(Spread.of(found["walls"][name]), 1)))
    return rows


def _whole_rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    count, rates = found["asked"]["whole"], found["whole_rates"]
    return [
        (NAMES[name], _spread(Spread.of(rates[name]), 0), _spread(Spread.of([count / rate for rate in rates[name]]), 1))
        for name in CONTESTANTS
    ]


def _curve_rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    fixed, each = fit(found["curve"])
    return [(f"{count:,}", f"{seconds:.1f}", f"{fixed + each * count:.1f}") for count, seconds in found["curve"]]


def _line(found: dict[str, Any]) -> str:
    fixed, each = fit(found["curve"])
    return f"The line: {fixed:.1f} s + {1000 * each:.2f} s for each 1,000 photos ({1 / each:.0f} images/s)."


def _spread(spread: Spread, digits: int) -> str:
    return f"{spread.median:,.{digits}f} ({spread.least:,.{digits}f} to {spread.most:,.{digits}f})"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    print(write(json.loads((RESULTS / "bench.json").read_text()), "bench"))
