"""How often a host is asked and when it is given up, without a clock and without a network."""

from __future__ import annotations

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason
from imagefeatures.sources.http import urls
from imagefeatures.sources.http.hosts import LOST_AFTER, Host
from imagefeatures.sources.http.jobs import Job

URL = urls.parse("http://example.org/")


def host_of(*indices: int, connections: int = 2) -> Host:
    host = Host("example.org", connections, 10.0)
    for index in indices:
        host.add(Job(index, URL, None))
    return host


def test_jobs_come_in_the_order_of_their_indices_and_not_faster_than_the_interval() -> None:
    host = host_of(5, 3, 4)
    assert not host.scheduled
    assert host.turn() == (0.0, 3)  # at once
    assert host.next_job().index == 3
    assert host.start(100.0).index == 3
    assert host.turn() == (110.0, 4)
    assert host.start(105.0).index == 4  # before its time: the interval counts from when it might have been asked
    host.ended()
    assert host.turn() == (120.0, 5)


def test_no_more_requests_than_connections_are_under_way() -> None:
    host = host_of(1, 2, 3)
    host.start(0.0)
    assert host.turn() is not None
    host.start(0.0)
    assert host.turn() is None
    host.ended()
    assert host.turn() is not None


def test_a_host_without_a_job_has_no_turn_and_a_job_that_is_done_is_passed_over() -> None:
    assert host_of().turn() is None
    host = host_of(1, 2)
    host.next_job().done = True
    assert host.turn() == (0.0, 2)
    host.next_job().done = True
    assert host.turn() is None


def test_a_pause_holds_until_its_end_and_shortens_no_other() -> None:
    host = host_of(1)
    host.pause(50.0)
    host.pause(20.0)
    assert host.turn() == (50.0, 1)


@pytest.mark.parametrize("reason", [Reason.FETCH_TIMEOUT, Reason.FETCH_FAILED, Reason.RATE_LIMITED])
def test_a_host_is_given_up_after_so_many_urls_in_a_row_without_an_answer(reason: Reason) -> None:
    host = host_of()
    for _ in range(LOST_AFTER - 1):
        host.judge(Rejected(reason, "early"))
    assert host.lost is None
    host.judge(Rejected(reason, "late"))
    assert host.lost is not None
    assert host.lost.reason == reason
    assert host.lost.detail == "not asked for: the last 20 URLs of example.org failed. The last one: late"
    first = host.lost
    host.judge(Rejected(reason, "later"))
    assert host.lost is first


@pytest.mark.parametrize("answer", [None, Rejected(Reason.NOT_FOUND, "it is not there")])
def test_an_answer_of_any_kind_lets_the_count_begin_anew(answer: Rejected | None) -> None:
    host = host_of()
    for outcome in (
        [Rejected(Reason.FETCH_TIMEOUT, "")] * (LOST_AFTER - 1),
        [answer],
        [Rejected(Reason.FETCH_FAILED, "")],
    ):
        for one in outcome:
            host.judge(one)
    assert host.lost is None


def test_a_host_that_is_drained_gives_every_job_once_in_order() -> None:
    host = host_of(2, 1, 3)
    assert [job.index for job in host.drain()] == [1, 2, 3]
    assert host.turn() is None
