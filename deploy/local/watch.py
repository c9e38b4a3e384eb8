"""How often a service that ends is started again, and after how long."""

from __future__ import annotations

from dataclasses import dataclass, field

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each new start. A service that ends once more after the last of them is not started again."""

FORGOTTEN_SECONDS = 600.0
"""Ends that are this long ago do not count any more."""


@dataclass
class Restarts:
    """The ends of one service.

    >>> ends = Restarts()
    >>> [ends.after_an_end(moment) for moment in (0, 10, 20)], ends.count
    ([1.0, 2.0, 4.0], 3)
    >>> ends.after_an_end(5000)
    1.0
    >>> [ends.after_an_end(5000 + moment) for moment in range(1, 6)]
    [2.0, 4.0, 8.0, 16.0, None]
    """

    _ends: list[float] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many ends count."""
        return len(self._ends)

    def after_an_end(self, now: float) -> float | None:
        """Seconds until the new start; None when there shall be none. now: a monotonic clock's seconds."""
        self._ends = [end for end in self._ends if now - end < FORGOTTEN_SECONDS] + [now]
        return PAUSES[self.count - 1] if self.count <= len(PAUSES) else None
