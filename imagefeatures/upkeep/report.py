"""What upkeep has found, as a table for a person and as numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Line:
    """Things of one kind.

    count: how many. size: of all of them, in bytes. oldest: the last write of the oldest one, in seconds since 1970;
    None where there is none, or no such moment is known.
    """

    what: str
    count: int = 0
    size: int = 0
    oldest: float | None = None

    def add(self, size: int, modified: float | None = None) -> None:
        self.count += 1
        self.size += size
        if modified is not None:
            self.oldest = modified if self.oldest is None else min(self.oldest, modified)


@dataclass
class Report:
    """done: False for a dry run, which removes nothing. refused: why something was left as it is, a line each.

    unknown: datasets whose unfinished runs, kept rejects or maps were left, since nothing here knows the dataset.
    """

    done: bool
    kinds: list[Line] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)

    def kind(self, what: str) -> Line:
        line = Line(what)
        self.kinds.append(line)
        return line

    @property
    def numbers(self) -> dict[str, dict[str, int]]:
        """Count and bytes by kind, in types that JSON has."""
        return {line.what: {"count": line.count, "bytes": line.size} for line in self.kinds}

    def lines(self) -> Iterator[str]:
        """The report for a person: kinds of which there is none are left out."""
        found = [line for line in self.kinds if line.count]
        state = "removed" if self.done else "would be removed"
        if not found:
            yield f"{state}: nothing"
        else:
            yield f"{state}: {_megabytes(sum(line.size for line in found))}"
            width = max(len(line.what) for line in found)
            for line in found:
                size = _megabytes(line.size) if line.size else ""
                since = f"since {dt.datetime.fromtimestamp(line.oldest, dt.UTC):%Y-%m-%d}" if line.oldest else ""
                yield f"  {line.what:<{width}}  {line.count:>9,}  {size:>12}  {since}".rstrip()
        yield from (f"  left as it is: {why}" for why in self.refused)
        for dataset in sorted(self.unknown):
            yield f"  left: what {dataset} has outside of tables; no table and no dataset file is of this name"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
