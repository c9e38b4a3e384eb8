"""How long what may pass is waited for: back-off with full jitter, a deadline, and one outage for many requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from imagefeatures.errors import StoreError

T = TypeVar("T")

LONGEST_WAIT_SECONDS = 4.0
"""Between two tries. In a minute that makes about thirty of them: enough where every second one fails."""

CONNECT_SECONDS = 5.0
"""The longest that a store may take to accept a connection."""

ATTEMPT_SECONDS = 20.0
"""The longest that one try may take, whatever it has delivered by then; a larger body has a second more a MiB."""

LIST_SECONDS = 30.0
"""The longest that one page of a listing may take."""

STALL_SECONDS = 10.0
"""The longest that a body may stand still in the bulk reader."""


AGAIN_SECONDS = 15.0
"""How long a request is retried in a task whose earlier attempt has already waited in vain."""

_waited = threading.Event()


def waited_before(yes: bool) -> None:
    """Say whether an earlier attempt of what this process does now has waited for the store.

    Four attempts that each wait a whole minute would keep an outage from a person's eyes for four.
    """
    (_waited.set if yes else _waited.clear)()


class Transient(Exception):
    """What may pass: 5xx, a reset, a timeout, a body that is short or not the object's."""


@dataclass
class Outage:
    """Shared by requests that stand or fall together. The first that runs out of patience ends the others' too.

    So a shard of many objects fails after one object's patience, not after that of one after another.
    """

    error: StoreError | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def end(self, error: StoreError) -> StoreError:
        """Let no request go on. Returns the error that was first."""
        self.error = self.error or error
        self.over.set()
        return self.error


def patiently(what: str, seconds: float, once: Callable[[], T], outage: Outage | None = None) -> T:
    """Repeat `once` while it raises Transient. Raises StoreError after `seconds`, or as soon as the outage is over.

    Sooner when it was waited for before: see `waited_before`.
    """
    from tenacity import (
        Retrying,
        retry_if_exception_type,
        sleep_using_event,
        stop_after_delay,
        stop_when_event_set,
        wait_random_exponential,
    )

    seconds = min(seconds, AGAIN_SECONDS) if _waited.is_set() else seconds
    outage = outage or Outage()
    if outage.error:
        raise outage.error
    patience = Retrying(
        stop=stop_after_delay(seconds) | stop_when_event_set(outage.over),
        wait=wait_random_exponential(multiplier=0.2, max=LONGEST_WAIT_SECONDS),  # full jitter
        sleep=sleep_using_event(outage.over),
        retry=retry_if_exception_type(Transient),
        reraise=True,
    )
    try:
        return patience(once)
    except Transient as error:
        raise outage.end(StoreError(f"{what}: no answer in {seconds:.0f} s ({error})")) from error


def within(seconds: float, request: Callable[[], T]) -> T:
    """Run a request in a thread that is left behind if it is not back in time. Raises its errors, or Transient.

    boto3 reads a short answer to its end, however slowly that comes. Not for writes: one left behind may still happen.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(request())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError as error:
        raise Transient(f"no whole answer in {seconds:.0f} s") from error
