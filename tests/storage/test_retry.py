"""How long a request is repeated, and for whom else its end counts: on a clock, without a store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import tenacity

from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import retry
from imagefeatures.storage.retry import FailsAlone, SharedDeadline, Transient, with_retries, within


class Clock:
    """A time that passes only while somebody waits. waits: how long each wait was to be."""

    def __init__(self) -> None:
        self.now, self.waits = 100.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def wait(self, event: threading.Event, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        self.now += timeout or 0
        return event.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    monkeypatch.setattr(threading.Event, "wait", lambda event, timeout=None: clock.wait(event, timeout))
    monkeypatch.setattr(tenacity.wait.random, "uniform", lambda low, high: high)  # the longest that jitter allows
    yield clock
    retry.shorten_retries(False)


def failing(times: float, error: Exception, calls: list[int]) -> Callable[[], str]:
    def once() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "answer"

    return once


def test_a_failure_that_passes_is_no_failure(clock: Clock) -> None:
    calls: list[int] = []
    assert with_retries("s3://b/k", 60, failing(5, Transient("503"), calls)) == "answer"
    assert len(calls) == 6
    assert clock.waits == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2])


def test_the_waits_grow_to_four_seconds_and_no_further(clock: Clock) -> None:
    with_retries("s3://b/k", 60, failing(8, Transient("503"), []))
    assert clock.waits[-3:] == [retry.LONGEST_WAIT_SECONDS] * 3 == [4.0] * 3


def test_a_store_that_is_away_is_asked_until_the_deadline_and_is_one_error(clock: Clock) -> None:
    calls: list[int] = []
    with pytest.raises(StoreError, match=r"^s3://b/k: no answer in 60 s \(503\)$"):
        with_retries("s3://b/k", 60, failing(1e9, Transient("503"), calls))
    assert len(calls) > 10
    assert 60 <= clock.now - 100 <= 60 + retry.LONGEST_WAIT_SECONDS


def test_any_other_error_is_final_at_once(clock: Clock) -> None:
    calls: list[int] = []
    with pytest.raises(StoreRefused, match=r"^no$"):
        with_retries("s3://b/k", 60, failing(1e9, StoreRefused("no"), calls))
    assert (len(calls), clock.waits) == (1, [])


@pytest.mark.parametrize(("seconds", "expected"), [(60, 15), (5, 5)])
def test_a_later_attempt_of_a_task_has_the_shorter_time(clock: Clock, seconds: float, expected: float) -> None:
    retry.shorten_retries(True)
    with pytest.raises(StoreError, match=rf"no answer in {expected} s \(503\)$"):
        with_retries("s3://b/k", seconds, failing(1e9, Transient("503"), []))
    assert expected <= clock.now - 100 <= expected + retry.LONGEST_WAIT_SECONDS
    retry.shorten_retries(False)
    clock.now = 100.0
    with pytest.raises(StoreError, match=rf"no answer in {seconds} s"):
        with_retries("s3://b/k", seconds, failing(1e9, Transient("503"), []))


def test_the_first_request_that_misses_a_shared_deadline_ends_all_others(clock: Clock) -> None:
    deadline, calls = SharedDeadline(), list[int]()
    with pytest.raises(StoreError, match=r"^s3://b/first: no answer"):
        with_retries("s3://b/first", 60, failing(1e9, Transient("503"), []), deadline)
    assert deadline.over.is_set()
    with pytest.raises(StoreError, match=r"^s3://b/first: no answer"):  # what the shard is told is the first
        with_retries("s3://b/second", 60, failing(0, Transient("503"), calls), deadline)
    assert calls == []


def test_a_request_that_is_under_way_ends_with_the_deadline_of_the_others(clock: Clock) -> None:
    deadline = SharedDeadline()
    calls: list[int] = []

    def once() -> str:
        calls.append(1)
        deadline.end(StoreError("s3://b/other: no answer"))
        raise Transient("503")

    with pytest.raises(StoreError, match=r"^s3://b/other: no answer$"):
        with_retries("s3://b/k", 60, once, deadline)
    assert len(calls) == 1


def test_requests_without_a_shared_deadline_do_not_end_each_other(clock: Clock) -> None:
    with pytest.raises(StoreError):
        with_retries("s3://b/first", 1, failing(1e9, Transient("503"), []))
    assert with_retries("s3://b/second", 60, failing(2, Transient("503"), [])) == "answer"


def test_a_request_is_abandoned_after_its_time_and_its_own_end_is_kept() -> None:
    release = threading.Event()
    with pytest.raises(Transient, match=r"^no complete response in 0 s$"):
        within(0.05, release.wait)
    release.set()
    assert within(60, lambda: 7) == 7
    with pytest.raises(KeyError, match="gone"):
        within(60, lambda: {}["gone"])


def test_an_abandoned_request_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[threading.Thread] = []
    real = threading.Thread

    def thread(*args: object, **options: object) -> threading.Thread:
        made.append(real(*args, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(threading, "Thread", thread)
    within(60, lambda: 7)
    assert [one.daemon for one in made] == [True]


def test_a_request_fails_alone_where_others_succeed_and_those_after_it_have_the_shorter_time(clock: Clock) -> None:
    deadline, calls, looks = SharedDeadline(), list[int](), list[float]()

    def others_succeed() -> bool:
        looks.append(clock.now)
        return True

    what = r"^no answer in 60 s \(503\), while the store gives other objects$"
    with pytest.raises(FailsAlone, match=what):
        with_retries("s3://b/1", 60, failing(1e9, Transient("503"), calls), deadline, others_succeed)
    assert len(looks) == retry.MORE_TRIES
    assert looks[0] >= 160
    assert not deadline.over.is_set()
    with pytest.raises(FailsAlone, match=r"no answer in 15 s"):
        with_retries("s3://b/2", 60, failing(1e9, Transient("503"), []), deadline, others_succeed)


def test_a_store_that_comes_back_as_the_time_is_over_has_given_the_object(clock: Clock) -> None:
    calls: list[int] = []

    def once() -> str:
        calls.append(1)
        if clock.now < 160:
            raise Transient("503")
        return "answer"

    def others_succeed() -> bool:
        clock.now += 60
        return True

    assert with_retries("s3://b/k", 30, once, SharedDeadline(), others_succeed) == "answer"


def test_a_store_that_goes_away_meanwhile_is_an_error_of_the_store(clock: Clock) -> None:
    deadline, answers = SharedDeadline(), iter([True, False])
    with pytest.raises(StoreError, match=r"^s3://b/k: no answer in 60 s \(503\)$"):
        with_retries("s3://b/k", 60, failing(1e9, Transient("503"), []), deadline, lambda: next(answers))
    assert deadline.over.is_set()
