"""Which values of a published partition are out of the bounds that the dataset's `alerts` declare."""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Sequence
from typing import Any

from imagefeatures.columns import images_per_second, quarantine_rate
from imagefeatures.quality.declared import COUNT, DRIFT, IMAGES_PER_SECOND, QUARANTINE_RATE, Alerts
from imagefeatures.quality.drift import Drift

Row = dict[str, Any]
"""A row of features.runs."""

WEEKS = 4
"""So many earlier partitions of the same weekday are compared with; without days as keys, as many of any kind."""


def of_run(alerts: Alerts, run: Row, others: Sequence[Row]) -> dict[str, str]:
    """What is out of bounds of a run as a whole: the alert, and in a sentence why.

    run: its row of features.runs. others: those of the other partitions of the dataset.
    """
    found = {}
    rate = quarantine_rate(run)
    if alerts.quarantine_rate is not None and rate > alerts.quarantine_rate:
        found[QUARANTINE_RATE] = (
            f"{run['quarantined']:,} of {run['listed']:,} objects are quarantined, {rate:.2%}; "
            f"the bound is {alerts.quarantine_rate:.2%}"
        )
    if alerts.count is not None and (counts := alike(run, others)):
        usual = statistics.median(counts)
        differs = abs(run["listed"] - usual)
        if differs > alerts.count * usual:
            found[COUNT] = (
                f"{run['listed']:,} objects, where {usual:,.0f} are usual ({_which(run, len(counts))}); "
                f"the bound is {alerts.count:.0%} of them more or less"
            )
    speed, least = images_per_second(run), alerts.images_per_second
    # A re-drive takes a few objects in the time that its start alone needs.
    if least is not None and run["listed"] and not run["redriven"] and speed < least:
        found[IMAGES_PER_SECOND] = f"{speed:.3g} images a second; the bound is {least:g}"
    return found


def of_vectors(alerts: Alerts, drifted: Drift, reference: Sequence[str]) -> dict[str, str]:
    """What is out of bounds of a table's vectors. reference: the partitions that they were compared with."""
    if alerts.drift is None or drifted.probability > alerts.drift or drifted.score < alerts.drift_least:
        return {}
    span = reference[0] if len(reference) == 1 else f"{reference[0]} to {reference[-1]}"
    return {
        DRIFT: (
            f"the vectors differ from those of {span} by {drifted.score:.2g}; chance exceeds "
            f"{drifted.bound:.2g} once in {1 / alerts.drift:,.0f} partitions"
        )
    }


def alike(run: Row, others: Sequence[Row]) -> list[int]:
    """How many objects the partitions had that the run's is compared with: the latest before it, WEEKS at most.

    Where its key is a day, those of the same weekday alone; else those with the greatest smaller keys.
    """
    weekday = _weekday(run["partition_key"])
    earlier = sorted(
        (row["partition_key"], row["listed"])
        for row in others
        if row["partition_key"] < run["partition_key"] and _weekday(row["partition_key"]) == weekday
    )
    return [listed for _, listed in earlier[-WEEKS:]]


def _weekday(key: str) -> int | None:
    try:
        return dt.date.fromisoformat(key).weekday()
    except ValueError:
        return None


def _which(run: Row, count: int) -> str:
    day = f" {dt.date.fromisoformat(run['partition_key']):%A}s" if _weekday(run["partition_key"]) is not None else ""
    return f"the median of {count} earlier{day or ' partitions'}"
