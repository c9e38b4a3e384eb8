"""Commands in the background: one at a time, bounded, and what fails is said and not tried at every look."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from imagefeatures import background
from imagefeatures.background import Background, Bounds, UnderWay, Waits
from support.shared import until

BOUNDS = Bounds(60, 4 << 30)
FAILED = Waits(
    "The map has failed; the log of Airflow's API server says why. It can be tried again 5 minutes after that.",
    again=False,
)
CANNOT_BEGIN = Waits(
    "The map cannot be begun; the log of Airflow's API server says why. Mostly IMAGEFEATURES_CACHE names no folder "
    "that can be written.",
    again=False,
)


def run(commands: Background, key: str, *arguments: str) -> UnderWay | Waits:
    return commands.run(key, nullcontext(arguments))


def ended(commands: Background, key: str, *arguments: str) -> Waits:
    """What is said once the command of this key has ended."""
    until(lambda: not isinstance(run(commands, key, *arguments), UnderWay))
    found = run(commands, key, *arguments)
    assert isinstance(found, Waits)
    return found


def test_one_is_under_way_at_a_time_with_the_lowest_priority_and_a_failure_is_not_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    commands = Background("map", BOUNDS, tmp_path)
    begun = run(commands, "one", "map", "../x")
    assert isinstance(begun, UnderWay)
    assert os.getpriority(os.PRIO_PROCESS, begun.process.pid) == 19
    assert run(commands, "one", "map", "../x") is begun
    assert run(commands, "other", "map", "../x") == Waits("Another map is under way; this one begins after it.")
    other_process = Background("map", BOUNDS, tmp_path)
    assert run(other_process, "one", "map", "../x") == Waits(
        "Another map is under way in another process of the server; this one begins after it."
    )
    # Its server may be killed: then the command itself still holds the lock.
    descriptors = Path(f"/proc/{begun.process.pid}/fd").iterdir()
    assert tmp_path / "background-map.lock" in [descriptor.readlink() for descriptor in descriptors]
    assert ended(commands, "one", "map", "../x") == FAILED
    assert "the map of one is not made: exit status 65, imagefeatures: DATASET: '../x' cannot be one" in caplog.text
    assert isinstance(run(other_process, "other", "map", "../x"), UnderWay)


@pytest.mark.long
def test_a_command_that_takes_too_long_is_ended_and_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commands = Background("map", Bounds(0.05, 4 << 30), tmp_path)
    assert isinstance(run(commands, "one", "--help"), UnderWay)
    assert ended(commands, "one", "--help") == FAILED
    assert "exit status -9" in caplog.text
    monkeypatch.setattr(background, "AGAIN_SECONDS", 0.0)
    assert isinstance(run(commands, "one", "--help"), UnderWay)


ORPHANED = """
import os, signal, sys
from contextlib import nullcontext
from pathlib import Path
from imagefeatures.background import Background, Bounds
folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
commands = Background("map", Bounds(5, 4 << 30), folder)
commands.run("one", nullcontext(()))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.long
def test_a_command_whose_server_is_killed_ends_by_itself(tmp_path: Path) -> None:
    (tmp_path / "imagefeatures").mkdir()
    (tmp_path / "imagefeatures" / "__init__.py").touch()
    # It uses no processor, of which there is a bound too.
    (tmp_path / "imagefeatures" / "cli.py").write_text("import time\ntime.sleep(200)\n")
    ended = subprocess.run([sys.executable, "-c", ORPHANED, str(tmp_path)])
    assert ended.returncode == -signal.SIGKILL
    waits = run(Background("map", BOUNDS, tmp_path), "other", "--help")
    assert waits == Waits("Another map is under way in another process of the server; this one begins after it.")
    until(lambda: isinstance(run(Background("map", BOUNDS, tmp_path), "other", "--help"), UnderWay), 100)


def program(folder: Path, code: str) -> str:
    """A program in the place of Python's."""
    made = folder / "program"
    made.write_text(f"#!/bin/sh\n{code}\n")
    made.chmod(0o755)
    return str(made)


def test_of_what_a_command_has_said_the_last_line_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", program(tmp_path, "printf 'first\\nlast\\n' >&2; exit 3"))
    assert ended(Background("map", BOUNDS, tmp_path), "one", "--help") == FAILED
    assert [record.getMessage() for record in caplog.records] == ["the map of one is not made: exit status 3, last"]


def test_a_command_that_cannot_be_begun_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"no folder")
    assert run(Background("map", BOUNDS, tmp_path / "file"), "one", "--help") == CANNOT_BEGIN
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    commands = Background("map", BOUNDS, tmp_path)
    assert run(commands, "one", "--help") == CANNOT_BEGIN
    assert run(commands, "one", "--help") == FAILED


def test_a_process_that_cannot_be_bounded_is_ended_and_not_begun_at_every_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    def refused(pid: int, bounds: Bounds) -> None:
        begun.append(pid)
        raise PermissionError

    monkeypatch.setattr(background, "_bound", refused)
    monkeypatch.setattr(sys, "executable", program(tmp_path, "exec sleep 1000"))  # it does not end by itself
    commands = Background("map", BOUNDS, tmp_path)
    assert run(commands, "one", "--help") == CANNOT_BEGIN
    assert run(commands, "one", "--help") == FAILED
    (pid,) = begun
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    monkeypatch.undo()
    assert isinstance(run(commands, "other", "--help"), UnderWay)  # the lock is free again


def test_a_limit_that_the_server_has_is_kept() -> None:
    with subprocess.Popen(["bash", "-c", "ulimit -t 100; echo; exec sleep 60"], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # now it has the limit
            background._bound(process.pid, Bounds(3600, 4 << 30))
            assert resource.prlimit(process.pid, resource.RLIMIT_CPU) == (100, 100)
            _, memory = resource.prlimit(process.pid, resource.RLIMIT_AS)
            assert 0 < memory <= 4 << 30
            background._bound(process.pid, Bounds(10, 4 << 30))
            assert resource.prlimit(process.pid, resource.RLIMIT_CPU) == (10, 10)
        finally:
            process.kill()
