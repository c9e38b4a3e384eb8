"""Small charts of a dataset's partitions, as SVG that needs no script: one bar a partition, oldest first.

Texts stand outside of the drawing, as HTML: the drawing is stretched to the width of the page, on a phone too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imagefeatures.columns import images_per_second, quarantine_rate
from imagefeatures_airflow.web.published import Row
from imagefeatures_airflow.web.rendering import per_second, severity, share
from imagefeatures_airflow.web.timeline import fingerprint_changes

HEIGHT = 40.0
"""Of the tallest bar, in units of the drawing. A bar is one unit wide, with its gap."""

SHORTEST = 0.75
"""Of a bar that is not nothing, so that it is seen."""

BARS = 200
"""So many partitions are drawn, the newest."""


@dataclass(frozen=True)
class Bar:
    """height: in units of the drawing. text: what it stands for. kind: a class of the style sheet.

    changed: whether a fingerprint is another one than before.
    """

    height: float
    text: str
    kind: str = ""
    changed: bool = False


@dataclass(frozen=True)
class Chart:
    """title: what is drawn. bars: oldest partition first. first, last: their keys. most, newest: as texts."""

    title: str
    bars: tuple[Bar, ...]
    first: str
    last: str
    most: str
    newest: str


def charts(rows: Sequence[Row]) -> tuple[Chart, ...]:
    """The trend of the quarantine rate, and of images per second. rows: of features.runs, of one dataset.

    None where there are fewer than two partitions: that is no trend.
    """
    ordered = sorted(rows, key=lambda row: row["partition_key"])[-BARS:]
    if len(ordered) < 2:
        return ()
    return (
        _chart("Quarantined", ordered, quarantine_rate, lambda rate: share(rate, 1)),
        _chart("Images per second, with waiting", ordered, images_per_second, per_second),
    )


def _chart(title: str, rows: Sequence[Row], value: Callable[[Row], float], told: Callable[[float], str]) -> Chart:
    values = [value(row) for row in rows]
    most = max(values)
    rejected = value is quarantine_rate
    changed = {row["partition_key"] for row, _ in fingerprint_changes(rows)}
    bars = tuple(
        Bar(
            height=max(SHORTEST, HEIGHT * found / most) if found else 0.0,
            text=f"{row['partition_key']}: {told(found)}",
            kind=severity(found, 1) if rejected else "",
            changed=row["partition_key"] in changed,
        )
        for row, found in zip(rows, values, strict=True)
    )
    return Chart(title, bars, rows[0]["partition_key"], rows[-1]["partition_key"], told(most), told(values[-1]))
