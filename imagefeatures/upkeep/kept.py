"""The reports of the last upkeeps, which the page shows: a file of the lake."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from imagefeatures import layout, sealed, storage
from imagefeatures.errors import AuditFailed
from imagefeatures.upkeep.report import Line, Report

MOST = 12
"""So many reports are kept: those of three months, where upkeep runs each week."""


class Kept(NamedTuple):
    """An upkeep that removed what it found. at: when it began."""

    at: dt.datetime
    report: Report

    @property
    def found(self) -> list[Line]:
        """The kinds of which there were some."""
        return [line for line in self.report.kinds if line.count]

    @property
    def things(self) -> int:
        """How many things were removed, of all kinds."""
        return sum(line.count for line in self.report.kinds)

    @property
    def size(self) -> int:
        """In bytes, of all that was removed."""
        return sum(line.size for line in self.report.kinds)


def keep(lake: str, report: Report, now: dt.datetime) -> None:
    """Add the report of an upkeep that has removed something, or has looked for it. Raises errors of the store."""
    each = [_content(kept) for kept in [Kept(now, report), *last(lake)][:MOST]]
    storage.write(layout.upkeep_reports(lake), sealed.encode({"reports": each}))


def last(lake: str) -> list[Kept]:
    """The reports that are kept, newest first; none where the file is not what this version wrote."""
    uri = layout.upkeep_reports(lake)
    try:
        return [_kept(content) for content in sealed.decode(uri, storage.read(uri))["reports"]]
    except (storage.ObjectMissing, AuditFailed, LookupError, TypeError, ValueError):
        return []


def _content(kept: Kept) -> dict[str, Any]:
    lines = [
        [line.what, line.count, line.size, None if line.oldest is None else int(line.oldest)]
        for line in kept.report.kinds
    ]
    return {
        "at": kept.at.isoformat(),
        "kinds": lines,
        "refused": kept.report.refused,
        "unknown": sorted(kept.report.unknown),
    }


def _kept(content: dict[str, Any]) -> Kept:
    kinds = [Line(*line) for line in content["kinds"]]
    report = Report(True, kinds, list(content["refused"]), set(content["unknown"]))
    return Kept(dt.datetime.fromisoformat(content["at"]), report)
