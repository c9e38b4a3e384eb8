"""How far runs are that have published nothing, by their files: one look serves everybody who watches a run.

A look lists the folder of the step that is under way and reads its new receipts (`imagefeatures.followed`), however
large the images are. Looks have threads of their own, so that a store that does not answer holds up no other page.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from imagefeatures import stops
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.followed import FollowedRun
from imagefeatures.layout import Layout
from imagefeatures.progress import Status, StepStatus, read_status
from imagefeatures.slowest import slowest
from imagefeatures.stops import Stop
from imagefeatures_airflow.web.published import Row, Unavailable
from imagefeatures_airflow.web.threads import PAGE_SECONDS

FRESH_SECONDS = 2.0
"""How old a look may be when it is shown."""

MOST_RUNS = 256
MOST_RECEIPTS = 64_000
"""So many runs are watched, and so many of their receipts kept in memory, before another run is watched: a run of a
million images has some 8,000, of 1 kB each. To watch more would read all of them at each look."""

IDLE_SECONDS = 60.0
"""A run that nobody has asked for since makes room for another one: its pages are closed, or hidden."""

_pool = ThreadPoolExecutor(2, thread_name_prefix="image features progress")


@dataclass(frozen=True)
class Look:
    """What the files of a run say.

    steps: those that it has reached; the last one is under way, or all are finished. None of `of_row`. listed: None
    while its source is not listed. reasons: how many objects it has rejected for each, the most frequent first.
    slowest: the shards that took longest, of all steps, as features.runs has them. stop: what stopped it last.
    """

    steps: tuple[StepStatus, ...]
    listed: int | None
    reasons: tuple[tuple[str, int], ...]
    slowest: tuple[dict[str, Any], ...]
    stop: Stop | None

    @property
    def rejected(self) -> int:
        return sum(count for _, count in self.reasons)


@dataclass
class _Watched:
    """A run that somebody watches. latest: the look that is under way, or the last one. started: when it began.

    asked: when somebody asked for it last. seen: the last look that found the run's folder.
    """

    run: FollowedRun
    latest: Future[Look | None] | None = None
    started: float = 0.0
    asked: float = 0.0
    seen: Look | None = None

    @property
    def idle(self) -> bool:
        done = self.latest is None or self.latest.done()
        return done and time.monotonic() - self.asked >= IDLE_SECONDS


_lock = threading.Lock()
_watched: dict[Layout, _Watched] = {}


async def look(layout: Layout) -> Look | None:
    """How far the run is, at most FRESH_SECONDS ago. Raises Unavailable.

    Register removes the run's folder when it has published it. From then on it is how far the run was when it was seen
    last; None where nobody has looked before.
    """
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(_latest(layout))), PAGE_SECONDS)
    except TimeoutError:
        raise Unavailable(
            f"The run's files were not read within {PAGE_SECONDS:.0f} s. Check the store of the lake."
        ) from None
    except ImageFeaturesError as error:
        kind = type(error).__name__
        raise Unavailable(f"The run's files cannot be read now ({kind}). Check the store of the lake.") from None


def of_row(row: Row) -> Look:
    """What the row of a published run says: whose folder is gone, and which nobody has looked at before."""
    return Look(
        (), row["listed"], tuple((reason, count) for reason, count in row["reasons"]), tuple(row["slowest"] or ()), None
    )


def _latest(layout: Layout) -> Future[Look | None]:
    """The look that is under way, or the last one while it is fresh, or a new one.

    Raises Unavailable where so many other runs are watched that there is no room for this one.
    """
    with _lock:
        if layout not in _watched:
            _make_room()
        watched = _watched.setdefault(layout, _Watched(FollowedRun(layout)))
        watched.asked = time.monotonic()
        fresh = time.monotonic() - watched.started < FRESH_SECONDS
        if watched.latest is None or (watched.latest.done() and (not fresh or watched.latest.exception())):
            watched.started = time.monotonic()
            watched.latest = _pool.submit(_look, watched)
        return watched.latest


def _make_room() -> None:
    """Drop runs that nobody watches any more, the longest first. Raises Unavailable where that is not enough."""
    while True:
        receipts = sum(watched.run.receipts_known for watched in _watched.values())
        if len(_watched) < MOST_RUNS and receipts < MOST_RECEIPTS:
            return
        idle = [layout for layout, watched in _watched.items() if watched.idle]
        if not idle:
            raise Unavailable(
                "How far this run is cannot be shown now: too many other runs are watched. Close some of their pages, "
                f"and try again in {IDLE_SECONDS:.0f} s."
            )
        del _watched[min(idle, key=lambda layout: _watched[layout].asked)]


def _look(watched: _Watched) -> Look | None:
    run = watched.run
    status = read_status(run.layout, run)
    seen = watched.seen
    if status is None or (seen and status.behind(Status(status.run_id, seen.steps))):
        return seen  # the folder is gone, or on its way: no work is undone
    receipts, reasons = run.known_receipts(), Counter[str]()
    for receipt in receipts:
        reasons.update(receipt.reasons)
    watched.seen = Look(
        steps=status.steps,
        listed=status.steps[0].total,
        reasons=tuple(sorted(reasons.items(), key=lambda counted: (-counted[1], counted[0]))),
        slowest=tuple(slowest(receipts)),
        stop=stops.last(run.layout),
    )
    return watched.seen
