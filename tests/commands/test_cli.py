"""What a command raises is told in one line at the end, whatever it is; only a fault of ours has a traceback before."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from imagefeatures.cli import COMMANDS, main
from imagefeatures.errors import EXIT_INPUT_ERROR, CatalogError, NoInput
from imagefeatures.settings import Settings


@pytest.mark.parametrize(
    ("error", "status", "last"),
    [
        (NoInput("NO_INPUT: nothing is there"), EXIT_INPUT_ERROR, "imagefeatures: NO_INPUT: nothing is there"),
        (CatalogError("postgresql://u:secret@h/d is away"), 1, "imagefeatures: postgresql://***@h/d is away"),
        (
            FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/cache/weights"),
            1,
            "imagefeatures: /cache/weights: No such file or directory (FileNotFoundError)",
        ),
        (
            PermissionError("no permission for the folder"),
            1,
            "imagefeatures: no permission for the folder (PermissionError)",
        ),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/x"),
            1,
            "imagefeatures: /tmp/x: no space left there; free some, then try again",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_is_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    error: Exception, status: int, last: str,
) -> None:  # fmt: skip
    assert told(error, monkeypatch) == status
    assert capsys.readouterr().err == f"{last}\n"


def test_a_fault_of_the_package_ends_in_a_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(KeyError("column"), monkeypatch) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "imagefeatures: KeyError: 'column' (unexpected: please report it)"


def told(error: Exception, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status of a command that raises the error."""

    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(COMMANDS["repair"], "run", fail)
    return main(["repair"])


ENDING = """
import atexit, sys
from imagefeatures import cli

class Left:
    def __del__(self):
        print("taken apart", file=sys.__stderr__, flush=True)

left = Left()
left.itself = left
atexit.register(print, "handled")
print("said", end=" ")
cli.main = lambda: {status}
cli.run_program()
"""


@pytest.mark.parametrize("status", [0, 1, EXIT_INPUT_ERROR])
def test_the_program_ends_with_its_status_its_handlers_and_without_taking_itself_apart(status: int) -> None:
    """Python takes apart what is left at its end, and pyarrow's threads may not survive that."""
    ended = subprocess.run([sys.executable, "-c", ENDING.format(status=status)], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "said handled\n", "")


@pytest.mark.parametrize(("status", "seen"), [(0, 1), (EXIT_INPUT_ERROR, EXIT_INPUT_ERROR)])
def test_the_program_whose_output_nobody_reads_ends_in_silence(
    status: int, seen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # a buffer is full of it until the end
    command = [sys.executable, "-c", ENDING.format(status=status)]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (seen, "")
