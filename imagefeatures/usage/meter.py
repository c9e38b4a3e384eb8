"""What a piece of work has used: the difference of two readings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from imagefeatures.usage import processes, traffic
from imagefeatures.usage.traffic import Traffic


@dataclass(frozen=True)
class Usage:
    """core_seconds: of this process, its threads and its children. peak_memory: in bytes; None where it is not known.

    traffic: as `Traffic` has it.
    """

    core_seconds: float
    peak_memory: int | None
    traffic: Traffic

    def as_json(self) -> dict[str, Any]:
        """The same in types that JSON has."""
        return asdict(self)

    @classmethod
    def of_json(cls, content: Any) -> Usage | None:
        """What `as_json` gave; None where there is nothing, as an earlier version left it.

        Raises TypeError or KeyError for anything else.
        """
        return cls(**{**content, "traffic": Traffic(**content["traffic"])}) if content else None


@dataclass(frozen=True)
class _Reading:
    core_seconds: float
    traffic: Traffic


class Meter:
    """Measures from the moment it is made on. The work of one process is measured piece by piece, never two at a time.

    A reading takes a tenth of a millisecond.
    """

    def __init__(self) -> None:
        processes.forget_peaks()
        self._before = _last_reading or _read()

    def usage(self) -> Usage:
        """What was used until now."""
        global _last_reading
        now = _read()
        if _last_reading:
            _last_reading = now
        return Usage(
            core_seconds=max(0.0, now.core_seconds - self._before.core_seconds),
            peak_memory=processes.peak_memory(),
            traffic=now.traffic - self._before.traffic,
        )


_last_reading: _Reading | None = None
"""In a process that does nothing but measured work: where the last piece ended. None in any other process."""


def count_everything() -> None:
    """Say that this process does nothing but measured work. Its start and what is between two pieces count too.

    The next piece has what came before it: imports, a model that is loaded, an attempt that failed.
    """
    global _last_reading
    _last_reading = _last_reading or _Reading(0.0, Traffic())


def total(usages: Iterable[Usage | None]) -> Usage | None:
    """The sums; of the memory the largest. None where one is not known, or there is none."""
    known: list[Usage] = []
    for usage in usages:
        if usage is None:
            return None
        known.append(usage)
    if not known:
        return None
    peaks = [usage.peak_memory for usage in known if usage.peak_memory is not None]
    return Usage(
        core_seconds=sum(usage.core_seconds for usage in known),
        peak_memory=max(peaks) if len(peaks) == len(known) else None,
        traffic=sum((usage.traffic for usage in known), Traffic()),
    )


def _read() -> _Reading:
    return _Reading(processes.core_seconds(), traffic.so_far())
