"""What benchmarks.growth has found: a JSON file, tables and curves in the results folder, the tables in a document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import documents
from benchmarks.report import RESULTS, table

DOCUMENT = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN, END = "<!-- begin: python -m benchmarks.growth -->\n", "<!-- end: python -m benchmarks.growth -->\n"

TOLD = ("plan", "register", "search", "read.open", "page: all runs")
"""How the operations begin that the curves name."""

BOUNDED, MOST = ("plan", "register"), 1.5
"""What may grow by so much from the first size to the last."""

CPU, WALL, READ = range(3)
"""The columns of what was measured of an operation: seconds, seconds, bytes."""


def measured() -> dict[str, Any]:
    """The contents of growth.json."""
    content: dict[str, Any] = json.loads((RESULTS / "growth.json").read_text())
    return content


def write(found: dict[str, Any]) -> str:
    """Write `growth.json`, `growth.md` and `growth.png`, and the tables into docs/scale.md. Returns the Markdown."""
    text = markdown(found)
    (RESULTS / "growth.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "growth.md").write_text(text)
    documents.put(DOCUMENT, BEGIN, END, text.splitlines())
    draw(found, RESULTS / "growth.png")
    return text


def markdown(found: dict[str, Any]) -> str:
    """The tables."""
    sizes, machine = found["sizes"], found["machine"]
    first, last = next(iter(sizes.values())), list(sizes.values())[-1]
    loads = " and ".join(f"{load:g}" for load in found["load"])
    times = len(next(iter(first["spent"].values())))
    head = ("", *(f"{int(size):,}" for size in sizes))
    rows = []
    for operation in first["spent"]:
        cells = [_cell(of["spent"][operation]) for of in sizes.values()]
        ratios = [
            percentile(last["spent"], operation, kind, 95) / percentile(first["spent"], operation, kind, 95)
            for kind in (CPU, WALL)
        ]
        rows.append((operation, *cells, *(f"{ratio:.2f}" for ratio in ratios)))
    read = [
        (
            operation,
            *(f"{np.median([one[READ] for one in of['spent'][operation]]) / 1000:,.0f}" for of in sizes.values()),
        )
        for operation in first["spent"]
    ]
    weights = [
        (
            f"`features.{name}`",
            *(
                f"{of['weight'][name]['files']} of {of['weight'][name]['bytes'] / 1e6:.2f} MB; "
                f"{of['weight'][name]['manifests']}; {of['weight'][name]['data_files']:,}"
                for of in sizes.values()
            ),
        )
        for name in first["weight"]
    ]
    parts = [
        f"{machine['cores']} cores ({machine['cpu']}), load before and after {loads}; {times} repetitions, of all "
        "sizes in turn. CPU ms p50 / p95, then wall ms p50 / p95; at the right the p95 of the last column by that of "
        "the first, CPU and wall.",
        table((head[0] or "Partitions", *head[1:], "CPU ×", "wall ×"), rows),
        table(("kB read, median", *head[1:]), read),
        table(("Files of metadata; manifests; data files", *head[1:]), weights),
    ]
    return "\n\n".join(parts) + "\n"


def beyond(found: dict[str, Any]) -> list[str]:
    """What of plan and register takes more than MOST times as long at the last size as at the first, p95 of CPU."""
    spent = [of["spent"] for of in found["sizes"].values()]
    bounded = [name for name in spent[0] if name.startswith(BOUNDED)]
    ratios = [percentile(spent[-1], name, CPU, 95) / percentile(spent[0], name, CPU, 95) for name in bounded]
    beyond = [(name, ratio) for name, ratio in zip(bounded, ratios, strict=True) if ratio > MOST]
    return [f"{name}: {ratio:.2f} times, at most {MOST:g} are wanted" for name, ratio in beyond]


def percentile(spent: dict[str, list[list[float]]], operation: str, kind: int, percent: int) -> float:
    """Of all repetitions of an operation, in its own unit."""
    return float(np.percentile([one[kind] for one in spent[operation]], percent))


def _cell(spent: list[list[float]]) -> str:
    cpu, wall = ([1000 * one[kind] for one in spent] for kind in (CPU, WALL))
    told = [np.percentile(values, percent) for values in (cpu, wall) for percent in (50, 95)]
    return "{:,.0f} / {:,.0f}; {:,.0f} / {:,.0f}".format(*told)


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw p95 of the CPU time of each operation by the number of partitions, by that at the first size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = found["sizes"]
    numbers = [int(size) for size in sizes]
    figure, axes = pyplot.subplots(figsize=(8, 4.2))
    spents = [of["spent"] for of in sizes.values()]
    axes.set_prop_cycle(color=pyplot.get_cmap("tab10")(np.arange(10)))
    for operation in sorted(spents[0], key=lambda operation: not operation.startswith(TOLD)):
        values = [percentile(spent, operation, CPU, 95) for spent in spents]
        told = {"label": operation} if operation.startswith(TOLD) else {"color": "#d0d0d0", "zorder": 1}
        axes.plot(numbers, [value / values[0] for value in values], marker="o", **told)
    axes.plot([], [], marker="o", color="#d0d0d0", label="the others of the table")
    axes.axhline(MOST, color="#b8b8b8", linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("partitions of one dataset, among 50 datasets", fontsize=9)
    axes.set_ylabel(f"p95 of CPU time, by that at {numbers[0]}", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
