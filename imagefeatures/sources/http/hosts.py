"""How often a host is asked, and when it is given up."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason
from imagefeatures.sources.http.jobs import Job

if TYPE_CHECKING:
    from imagefeatures.sources.http.robots import Robots

LOST_AFTER = 20
"""So many URLs of a host in a row without an answer, and its other URLs are not asked for.

Without it a host that accepts connections and says nothing costs a deadline for each of its URLs.
"""

_UNANSWERED = (Reason.FETCH_TIMEOUT, Reason.FETCH_FAILED, Reason.RATE_LIMITED)


@dataclass(slots=True)
class Host:
    """The jobs that wait for a host, and what it may be asked. Times are those of time.monotonic.

    connections: most requests at a time. interval: seconds from one request to the next. scheduled: for the caller, who
    has entered it where the next host is looked up. lost: why its other URLs are not asked for.
    """

    name: str
    connections: int
    interval: float
    scheduled: bool = False
    lost: Rejected | None = None
    _next_at: float = 0.0
    _active: int = 0
    _unanswered: int = 0
    _waiting: list[tuple[int, int, Job]] = field(default_factory=list)

    def begin_anew(self) -> None:
        """Forget the jobs of an earlier fetch, and keep what is known of the host."""
        self.scheduled, self._active = False, 0
        self._waiting.clear()

    def add(self, job: Job) -> None:
        heapq.heappush(self._waiting, (job.index, id(job), job))

    def turn(self) -> tuple[float, int] | None:
        """When it may be asked next, and the index of the job that is next; None while it may not, or has no job."""
        while self._waiting and self._waiting[0][2].done:  # its deadline passed while it waited
            heapq.heappop(self._waiting)
        if not self._waiting or self._active >= self.connections:
            return None
        return self._next_at, self._waiting[0][0]

    def next_job(self) -> Job:
        """The job that is next, which stays where it is until `start`."""
        return self._waiting[0][2]

    def start(self, now: float) -> Job:
        self._active += 1
        self._next_at = max(self._next_at, now) + self.interval
        return heapq.heappop(self._waiting)[2]

    def ended(self) -> None:
        """One of its requests has ended, whatever came of it."""
        self._active -= 1

    def pause(self, until: float) -> None:
        """Ask nothing before this time."""
        self._next_at = max(self._next_at, until)

    def judge(self, outcome: Rejected | None) -> None:
        """Take note of what became of one URL, None where it was answered, and give the host up if need be."""
        if outcome is None or outcome.reason not in _UNANSWERED:
            self._unanswered = 0
            return
        self._unanswered += 1
        if self._unanswered >= LOST_AFTER and self.lost is None:
            why = f"not asked for: the last {LOST_AFTER} URLs of {self.name} failed. The last one: {outcome.detail}"
            self.lost = Rejected(outcome.reason, why)

    def drain(self) -> Iterator[Job]:
        """Every job that waits, taken out."""
        while self._waiting:
            yield heapq.heappop(self._waiting)[2]


@dataclass(slots=True)
class Known:
    """What one fetch leaves to the next. hosts: by name. robots: the rules of each origin."""

    hosts: dict[str, Host] = field(default_factory=dict)
    robots: dict[str, Robots] = field(default_factory=dict)
