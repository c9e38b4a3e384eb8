"""Small charts of a dataset's partitions, as SVG that needs no script: one bar a partition, oldest first.

Texts stand outside of the drawing, as HTML: the drawing is stretched to the width of the page, on a phone too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imagefeatures.columns import images_per_second, quarantine_rate
from imagefeatures_airflow.web.published import Row
from imagefeatures_airflow.web.rendering import per_second, severity, share

HEIGHT = 40.0
"""Of the tallest bar, in units of the drawing. A bar is one unit wide, with its gap."""

SHORTEST = 0.75
"""Of a bar that is not nothing, so that it is seen."""

BARS = 200
"""So many partitions are drawn, the newest."""


@dataclass(frozen=True)
class Bar:
    """height: in units of the drawing. text: what it stands for. kind: a class of the style sheet.

    changed: whether the fingerprint is another one than that of the bar before.
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
    before = [rows[0]["fingerprint"], *(row["fingerprint"] for row in rows)]
    bars = tuple(
        Bar(
            height=max(SHORTEST, HEIGHT * found / most) if found else 0.0,
            text=f"{row['partition_key']}: {told(found)}",
            kind=severity(found, 1) if rejected else "",
            changed=row["fingerprint"] != old,
        )
        for row, found, old in zip(rows, values, before, strict=False)
    )
    return Chart(title, bars, rows[0]["partition_key"], rows[-1]["partition_key"], told(most), told(values[-1]))
