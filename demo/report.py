"""The demo's report: counts of each day, speed of each step, and the check that the numbers add up."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from demo.photos import Day
from imagefeatures.steps import SPARK_STEPS

Row = Mapping[str, Any]
"""A row of features.runs as pyarrow's to_pylist gives it: `reasons` is a list of pairs."""

RULE = "─"
NOTE = "s of a step: while a worker was busy. s of the whole run: with Airflow's scheduling and Spark's start-up."


def print_report(runs: Sequence[Row], tasks: Mapping[str, Mapping[str, float]] | None = None) -> None:
    """Print one table, at most 110 columns wide: counts and reasons by day, then seconds and images/s by step.

    tasks: partition to Airflow task to its wall seconds. When given, a third part shows these seconds.
    """
    print("\n".join(lines(runs, tasks or {})))


def lines(runs: Sequence[Row], tasks: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """The lines of `print_report`."""
    runs = sorted(runs, key=lambda run: run["partition_key"])
    parts = [_counts(runs), _speeds(runs)]
    if tasks:
        parts.append(_tasks(tasks))
    tables = [_aligned(list(part)) for part in parts]
    width = max(len(line) for table in tables for line in table)
    for table, heads in zip(tables, (1, 2, 1), strict=False):
        yield from ("", *table[:heads], RULE * width, *table[heads:])
    yield from ("", NOTE)


def check(runs: Sequence[Row], expected: Sequence[Day]) -> list[str]:
    """One line for each number that does not add up; empty when all add up."""
    wrong = [problem for run in runs for problem in _contradictions(run)]
    for day in expected:
        found = [run for run in runs if run["partition_key"] == day.partition]
        if len(found) != 1:
            wrong.append(f"{day.partition}: {len(found)} rows in features.runs, expected 1")
        for run in found:
            reasons = dict(run["reasons"])
            if run["listed"] != day.listed:
                wrong.append(f"{day.partition}: {run['listed']} listed, the folder holds {day.listed} files")
            if reasons != day.reasons:
                wrong.append(f"{day.partition}: quarantined {_words(reasons)}, expected {_words(day.reasons)}")
    return wrong


def wall_seconds(run: Row) -> float:
    """Seconds from plan to the publication by register."""
    took: dt.timedelta = run["finished_at"] - run["started_at"]
    return took.total_seconds()


def _contradictions(run: Row) -> Iterator[str]:
    day, reasons = run["partition_key"], dict(run["reasons"])
    if run["registered"] + run["quarantined"] != run["listed"]:
        yield f"{day}: {run['registered']} registered + {run['quarantined']} quarantined is not {run['listed']} listed"
    if sum(reasons.values()) != run["quarantined"]:
        yield f"{day}: {run['quarantined']} quarantined, but the reasons sum to {sum(reasons.values())}"
    came_in = [run["listed"], *(run[f"{step}_images"] for step in SPARK_STEPS)]
    if came_in[1] != came_in[0]:
        yield f"{day}: {came_in[1]} images came into {SPARK_STEPS[0]}, {came_in[0]} were listed"
    for step, before, now in zip(SPARK_STEPS[1:], came_in[1:], came_in[2:], strict=False):
        if now > before:
            yield f"{day}: {now} images came into {step}, more than the {before} of the step before"
    if came_in[-1] < run["registered"]:
        yield f"{day}: {run['registered']} registered, but only {came_in[-1]} came into {SPARK_STEPS[-1]}"
    if wall_seconds(run) < 0:
        yield f"{day}: it finished before it started"


def _counts(runs: Sequence[Row]) -> Iterator[list[str]]:
    yield ["partition", "listed", "registered", "quarantined", " by reason"]
    sums: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for run in runs:
        counts = {name: run[name] for name in ("listed", "registered", "quarantined")}
        sums.update(counts)
        reasons.update(dict(run["reasons"]))
        yield from _count_rows(run["partition_key"], counts, dict(run["reasons"]))
    if len(runs) > 1:
        yield from _count_rows("all", sums, reasons)


def _count_rows(name: str, counts: Mapping[str, int], reasons: Mapping[str, int]) -> Iterator[list[str]]:
    numbers = [f"{counts[what]:,}" for what in ("listed", "registered", "quarantined")]
    # One reason per line keeps the table narrow.
    first, *others = [f" {reason} {count:,}" for reason, count in sorted(reasons.items())] or [" –"]
    yield [name, *numbers, first]
    for reason in others:
        yield ["", "", "", "", reason]


def _speeds(runs: Sequence[Row]) -> Iterator[list[str]]:
    yield ["", *SPARK_STEPS, "whole run"]
    yield ["partition", *["s  images/s"] * len(SPARK_STEPS), "s"]
    for run in runs:
        speeds = [_speed(run[f"{step}_seconds"], run[f"{step}_images"]) for step in SPARK_STEPS]
        yield [run["partition_key"], *speeds, f"{wall_seconds(run):.1f}"]


def _speed(seconds: float, images: int) -> str:
    return f"{seconds:.2f}  {f'{images / seconds:,.0f}' if seconds else '–':>8}"


def _tasks(tasks: Mapping[str, Mapping[str, float]]) -> Iterator[list[str]]:
    names = list(dict.fromkeys(name for took in tasks.values() for name in took))
    yield ["seconds by task", *names]
    for partition, took in sorted(tasks.items()):
        yield [partition, *(f"{took[name]:.1f}" if name in took else "–" for name in names)]


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell. The first column, and cells that begin with a space, are aligned left."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [
            cell.ljust(width) if at == 0 or cell.startswith(" ") else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _words(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items())) or "nothing"
