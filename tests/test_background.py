"""Commands in the background: one at a time, bounded, and what fails is said and not tried at every look."""

from __future__ import annotations

import os
import sys

import pytest

from imagefeatures import background
from imagefeatures.background import Background, Bounds, UnderWay, Waits
from support.shared import until

BOUNDS = Bounds(60, 4 << 30)
FAILED = "The map has failed; the log of Airflow's API server says why. It can be tried again 5 minutes after that."


def ended(commands: Background, key: str, *arguments: str) -> Waits:
    """What is said once the command of this key has ended."""
    until(lambda: not isinstance(commands.run(key, arguments), UnderWay))
    found = commands.run(key, arguments)
    assert isinstance(found, Waits)
    return found


def test_one_is_under_way_at_a_time_with_the_lowest_priority_and_a_failure_is_not_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    commands = Background("map", BOUNDS)
    begun = commands.run("one", ["map", "../x"])
    assert isinstance(begun, UnderWay)
    assert os.getpriority(os.PRIO_PROCESS, begun.process.pid) == 19
    assert commands.run("one", ["map", "../x"]) is begun
    assert commands.run("other", ["map", "../x"]) == Waits("Another map is under way; this one begins after it.")
    assert ended(commands, "one", "map", "../x") == Waits(FAILED)
    assert "the map of one is not made: exit status 65, imagefeatures: DATASET: '../x' cannot be one" in caplog.text


@pytest.mark.long
def test_a_command_that_takes_too_long_is_ended_and_tried_again_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commands = Background("map", Bounds(0.05, 4 << 30))
    assert isinstance(commands.run("one", ["--help"]), UnderWay)
    assert ended(commands, "one", "--help") == Waits(FAILED)
    assert "exit status -9" in caplog.text
    monkeypatch.setattr(background, "AGAIN_SECONDS", 0.0)
    assert isinstance(commands.run("one", ["--help"]), UnderWay)


def test_a_command_that_cannot_be_begun_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    for _ in range(2):
        found = Background("map", BOUNDS).run("one", ["--help"])
        assert found == Waits("The map cannot be begun; the log of Airflow's API server says why.")
