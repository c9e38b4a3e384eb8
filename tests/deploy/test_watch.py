"""How often a service that ends is started again."""

from __future__ import annotations

import doctest

import pytest

from deploy.local import watch
from deploy.local.__main__ import port_number
from deploy.local.watch import FORGOTTEN_SECONDS, PAUSES, Restarts


def test_the_examples_are_true() -> None:
    results = doctest.testmod(watch)
    assert results.attempted
    assert not results.failed


def test_a_service_that_keeps_ending_is_given_up_and_one_that_ends_now_and_then_is_not() -> None:
    ends = Restarts()
    assert [ends.after_an_end(second) for second in range(len(PAUSES) + 1)] == [*PAUSES, None]
    rare = Restarts()
    assert {rare.after_an_end(number * FORGOTTEN_SECONDS / 4) for number in range(100)} <= set(PAUSES)


@pytest.mark.parametrize("text", ["0", "65536", "-1", "web"])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        port_number(text)
