"""Whether what is true of one object is true of its store: others of its folder are read."""

from __future__ import annotations

import contextlib
import queue
import random
import time
from collections.abc import Callable, Iterable
from threading import Thread

from imagefeatures.storage.objects import Listed, ObjectVersion
from imagefeatures.storage.retry import within

OTHERS = 5
"""How many other objects are read, at the same time."""

SECONDS = 10.0
"""The longest that the listing is waited for, and then the objects."""


def others_succeed(
    version: ObjectVersion, listed: Callable[[], Iterable[Listed]], read: Callable[[Listed], bool]
) -> bool:
    """Whether an object can be read now, other than this one.

    listed: lists some objects of the folder. read: whether one of them is read whole. Whatever they raise means no.
    Objects of at least this one's size are read, if there are any: a store that sends bodies byte by byte still gives
    the small ones.
    """

    def others() -> list[Listed]:
        found = [other for other in listed() if other.path != version.path and other.size]
        larger = [other for other in found if other.size >= version.size]
        return random.sample(larger, min(OTHERS, len(larger))) or _largest(found)

    def ask(other: Listed) -> None:
        succeeded = False
        with contextlib.suppress(Exception):
            succeeded = read(other)
        answers.put(succeeded)

    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    try:
        asked = within(SECONDS, others)
    except Exception:
        return False
    end = time.monotonic() + SECONDS
    for other in asked:
        Thread(target=ask, args=[other], daemon=True).start()
    with contextlib.suppress(queue.Empty):
        return any(answers.get(timeout=max(0.0, end - time.monotonic())) for _ in asked)
    return False


def _largest(found: list[Listed]) -> list[Listed]:
    return sorted(found, key=lambda other: other.size)[-OTHERS:]
