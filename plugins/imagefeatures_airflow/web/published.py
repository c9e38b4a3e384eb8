"""What is published, for every page: the rows of features.runs, read a few seconds ago at most.

The catalog may be slow, or not answer at all, and any number of people may look at the page meanwhile. So a view never
reads the catalog itself. Views that come while a read is under way share it, and its rows serve the next views for
FRESH_SECONDS. A read opens the tables' files only where another snapshot is current than that of the read before:
`features.runs` has some thirty. What a user may see is decided afterwards, for each view (`access`): rows are kept for
nobody in particular.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from imagefeatures import names
from imagefeatures.errors import InputError, StoreError
from imagefeatures.settings import Settings
from imagefeatures.upkeep import kept
from imagefeatures.upkeep.kept import Kept

FRESH_SECONDS = 5.0
"""How old rows may be when they are shown: rows whose read began earlier before the view are read again."""

CATALOG_SECONDS = 15.0
"""How long a view waits for the catalog before the page says that it cannot be read."""

READERS = 4
"""The most threads that read. A read that the catalog does not answer holds its thread, also when nobody waits."""

Row = dict[str, Any]
"""A row of features.runs."""


class Published(dict[str, list[Row]]):
    """Dataset: its rows, newest partition first. Shared by all views: never changed.

    withdrawn: the partitions of each dataset of which rows were taken back, whether or not others were published since.
    upkeeps: what the last upkeeps have removed, newest first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.withdrawn: dict[str, set[str]] = {}
        self.upkeeps: list[Kept] = []


log = logging.getLogger(__name__)


class Unavailable(Exception):
    """The page cannot be shown now. Its text is one line for the page and holds no secret."""


@dataclass(frozen=True)
class _Read:
    """One read of the catalog. thread: a daemon, so that a silent catalog does not keep the server from stopping."""

    thread: threading.Thread
    rows: Future[Published]
    started: float = field(default_factory=time.monotonic)

    def serves(self, asked: float) -> bool:
        """Whether its rows are fresh enough for a view of that moment."""
        return self.started >= asked - FRESH_SECONDS

    def seconds_left(self) -> float:
        """How long it is waited for; 0 once it is given up, and the next view begins another."""
        return max(0.0, self.started + CATALOG_SECONDS - time.monotonic())


_lock = threading.Lock()
_latest: dict[Settings, _Read] = {}
_threads: list[threading.Thread] = []


async def published(settings: Settings) -> Published:
    """What is published now, at most FRESH_SECONDS old, within CATALOG_SECONDS. Raises Unavailable."""
    asked = time.monotonic()
    try:
        async with asyncio.timeout(CATALOG_SECONDS):
            while True:
                read = _read_for(settings, asked)
                if not read.rows.done():
                    with contextlib.suppress(TimeoutError):  # given up; there may be time for another
                        await asyncio.wait_for(asyncio.wrap_future(read.rows), read.seconds_left())
                if read.rows.done() and read.serves(asked):
                    return read.rows.result()
    except Unavailable:
        raise
    except InputError as error:  # such as another lake's tables: whoever may read the log may know places and hosts
        log.warning("image features: the catalog cannot be read: %s", error)
        kind = type(error).__name__
        text = f"The catalog cannot be read now ({kind}). The log of Airflow's API server says why."
        raise Unavailable(text) from None
    except Exception as error:
        # Drivers quote the catalog's URL in their messages, and the URL may hold a password: show the kind alone.
        kind = type(error).__name__
        log.warning("image features: the catalog cannot be read: %s", kind)
        raise Unavailable(
            f"The catalog cannot be read now ({kind}). Check that what IMAGEFEATURES_CATALOG names is running, "
            "and that Airflow's API server may connect to it."
        ) from None


def _read_for(settings: Settings, asked: float) -> _Read:
    """The read that is under way, or the last one while it is fresh, or a new one.

    A read that is under way may be too old for this view: it is waited for all the same, so that one follows another.
    Raises Unavailable when READERS threads hang.
    """
    with _lock:
        read = _latest.get(settings)
        if read and read.rows.done() and not read.rows.exception() and read.serves(asked):
            return read
        if read and not read.rows.done() and read.seconds_left():
            return read
        _threads[:] = [thread for thread in _threads if thread.is_alive()]
        if len(_threads) >= READERS:
            raise Unavailable(
                f"The catalog cannot be read now: it has not answered {READERS} earlier requests. "
                "Check what IMAGEFEATURES_CATALOG names."
            )
        for old in [known for known, last in _latest.items() if last.rows.done()]:
            del _latest[old]  # rows of settings that are no longer asked for, or no longer fresh
        rows: Future[Published] = Future()
        rows.set_running_or_notify_cancel()  # so that a view that waits no longer does not cancel it for the others
        thread = threading.Thread(target=_read, args=(settings, rows), name="image features", daemon=True)
        read = _latest[settings] = _Read(thread, rows)
        _threads.append(thread)
        thread.start()
        return read


def _read(settings: Settings, result: Future[Published]) -> None:
    try:
        from imagefeatures.catalog import snapshots  # not before the first look: pyiceberg takes a second

        by_dataset = Published()
        if (snapshot := snapshots.current(settings, names.RUNS)) is not None:
            for row in _runs(settings, snapshot):
                by_dataset.setdefault(row["dataset"], []).append(row)
        with contextlib.suppress(InputError):  # a dataset of an earlier version may have a table of this name
            if (snapshot := snapshots.current(settings, names.WITHDRAWALS)) is not None:
                for dataset, partition in _withdrawn(settings, snapshot):
                    by_dataset.withdrawn.setdefault(dataset, set()).add(partition)
        with contextlib.suppress(InputError, StoreError):  # the rows can be shown without them
            by_dataset.upkeeps = kept.last(settings.lake)
        result.set_result(by_dataset)
    except BaseException as error:  # whatever it is, the views that wait must learn of it
        result.set_exception(error)


@lru_cache(1)
def _runs(settings: Settings, snapshot: int) -> list[Row]:
    from imagefeatures import read

    return read.runs(settings, snapshot=snapshot)


@lru_cache(1)
def _withdrawn(settings: Settings, snapshot: int) -> list[tuple[str, str]]:
    """Dataset and partition of each row of features.withdrawals."""
    from imagefeatures import read

    rows = read.table(settings, names.WITHDRAWALS, columns=("dataset", "partition_key"), snapshot=snapshot)
    return [(row["dataset"], row["partition_key"]) for row in rows.to_pylist()]
