"""The result of the demo's backfill: prints the report, and checks that its numbers add up."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from demo import photos, report
from imagefeatures import read
from imagefeatures.settings import Settings


def report_and_check(settings: Settings, dag_runs: Sequence[dict[str, Any]], days: Sequence[photos.Day]) -> bool:
    """Print the report of what is published now, and every wrong number on standard error.

    dag_runs: as `backfill` returns them. days: the expected numbers. Returns True when no number is wrong.
    """
    runs = days_published(settings)
    report.print_report(runs, {run["partition_key"]: task_seconds(run) for run in dag_runs})
    wrong = report.check(runs, days)
    for line in wrong:
        print(line, file=sys.stderr)
    return not wrong


def task_seconds(dag_run: dict[str, Any]) -> dict[str, float]:
    """Wall seconds of each task of a DAG run, in the order in which they started."""
    started = sorted((task for task in dag_run["tasks"] if task["start_date"]), key=lambda task: task["start_date"])
    return {task["task_id"]: task["duration"] or 0.0 for task in started}


def days_published(settings: Settings) -> list[dict[str, Any]]:
    """The demo's rows of features.runs, in order of day."""
    return [row for row in reversed(read.runs(settings, photos.DATASET)) if row["partition_key"] in photos.PARTITIONS]
