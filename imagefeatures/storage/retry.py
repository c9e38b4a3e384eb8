"""Retries of transient failures: back-off with full jitter, a deadline, and one deadline shared by many requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from imagefeatures.errors import StoreError

T = TypeVar("T")

LONGEST_WAIT_SECONDS = 4.0
"""The longest wait between two attempts: about thirty attempts a minute, enough if every second one fails."""

CONNECT_SECONDS = 5.0
"""The longest that a store may take to accept a connection."""

ATTEMPT_SECONDS = 20.0
"""The longest that one attempt may take, even if bytes still arrive; boto3 has one second more for each MiB."""

LIST_SECONDS = 30.0
"""The longest that one page of a listing may take."""

STALL_SECONDS = 10.0
"""The longest that the bulk reader waits for the next bytes of a body."""

AGAIN_SECONDS = 15.0
"""How long a request is retried in a task whose earlier attempt has already spent a whole deadline."""

_shortened = threading.Event()


def shorten_retries(shorten: bool) -> None:
    """From now on use AGAIN_SECONDS as the deadline if `shorten`, otherwise each caller's own.

    A second attempt of a task shortens its retries: four attempts of a minute each would hide an outage for four
    minutes.
    """
    (_shortened.set if shorten else _shortened.clear)()


MORE_TRIES = 3
"""How often a request is tried once more, each time after others were seen to succeed, before it fails alone."""


class Transient(Exception):
    """A failure that may pass: 5xx, a reset, a timeout, a body that is short or not the object's."""


class FailsAlone(Exception):
    """A request that goes on failing while the store answers the same request for other objects."""


@dataclass
class SharedDeadline:
    """A deadline shared by the requests of one shard. The first request that misses it ends the retries of all.

    A shard of many objects therefore fails after one deadline, not after one deadline for each object. A request that
    fails alone ends nothing, and shortens the retries of those after it.
    """

    error: StoreError | None = None
    over: threading.Event = field(default_factory=threading.Event)
    one_failed_alone: bool = False

    def end(self, error: StoreError) -> StoreError:
        """End the retries of all requests. Returns the first error."""
        self.error = self.error or error
        self.over.set()
        return self.error

    def seconds(self, seconds: float) -> float:
        """How long a request is retried. Not so long after one has failed alone: the store answers."""
        return min(seconds, AGAIN_SECONDS) if self.one_failed_alone or _shortened.is_set() else seconds


def with_retries(
    what: str,
    seconds: float,
    once: Callable[[], T],
    deadline: SharedDeadline | None = None,
    others_succeed: Callable[[], bool] = lambda: False,
) -> T:
    """Repeat `once` while it raises Transient. Raises StoreError after `seconds`, or once the shared deadline is over.

    others_succeed: whether the same request succeeds for other objects now. Asked when the time is over: where it does,
    FailsAlone is raised. The time is shorter after `shorten_retries(True)`.
    """
    from tenacity import (
        Retrying,
        retry_if_exception_type,
        sleep_using_event,
        stop_after_delay,
        stop_when_event_set,
        wait_random_exponential,
    )

    deadline = deadline or SharedDeadline()
    seconds = deadline.seconds(seconds)
    if deadline.error:
        raise deadline.error
    retrying = Retrying(
        stop=stop_after_delay(seconds) | stop_when_event_set(deadline.over),
        wait=wait_random_exponential(multiplier=0.2, max=LONGEST_WAIT_SECONDS),  # full jitter
        sleep=sleep_using_event(deadline.over),
        retry=retry_if_exception_type(Transient),
        reraise=True,
    )
    try:
        return retrying(once)
    except Transient as error:
        failed = error
    for _ in range(MORE_TRIES):
        if deadline.over.is_set() or not others_succeed():
            raise deadline.end(StoreError(f"{what}: no answer in {seconds:.0f} s ({failed})")) from failed
        try:
            return once()
        except Transient as error:
            failed = error
    deadline.one_failed_alone = True
    raise FailsAlone(f"no answer in {seconds:.0f} s ({failed}), while the store gives other objects") from failed


def within(seconds: float, request: Callable[[], T]) -> T:
    """Run a request in a thread and abandon the thread after `seconds`. Raises the request's errors, or Transient.

    boto3 has no time limit for a whole response. Not for writes: an abandoned write may still take effect.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(request())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return result.result(seconds)
    except TimeoutError as error:
        raise Transient(f"no complete response in {seconds:.0f} s") from error
