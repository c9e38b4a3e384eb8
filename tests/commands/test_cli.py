"""What a command raises is told in one line at the end, whatever it is; only a fault of ours has a traceback before."""

from __future__ import annotations

import atexit
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagefeatures.cli import COMMANDS, main, run_program
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
        (
            OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
            1,
            "imagefeatures: the folder of temporary files (TMPDIR): no space left there; free some, then try again",
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


def test_a_command_that_is_interrupted_says_so_and_ends_as_shells_say_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert told(KeyboardInterrupt(), monkeypatch) == 130
    except KeyboardInterrupt:  # it would end the tests
        pytest.fail("the interruption went on")
    assert capsys.readouterr() == ("", "imagefeatures: stopped\n")


def test_a_command_without_a_reader_ends_in_silence_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with monkeypatch.context() as patch, os.fdopen(writer, "w", encoding="utf-8") as output:
        patch.setattr(sys, "stdout", output)
        print("what is left in the buffer")
        assert told(BrokenPipeError(), monkeypatch) == 1
    assert capsys.readouterr() == ("", "")


def test_words_without_a_command_are_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    line = "imagefeatures: the following arguments are required: COMMAND; see imagefeatures --help\n"
    assert capsys.readouterr().err == line


def told(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
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


class Pipe(io.TextIOWrapper):
    """An output that holds what was said until it is flushed. Nobody may read it."""

    def __init__(self, read: bool = True) -> None:
        super().__init__(io.BytesIO())
        self.read_by_someone = read

    def flush(self) -> None:
        if not self.read_by_someone:
            raise BrokenPipeError
        super().flush()


@pytest.mark.parametrize(
    ("status", "read", "seen"),
    [(0, True, 0), (65, True, 65), (0, False, 1), (65, False, 65)],
)
def test_the_program_ends_once_all_is_said_and_its_status_tells_an_output_that_nobody_reads(
    status: int, read: bool, seen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, errors = Pipe(read), Pipe()

    def ends(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", ends)
    monkeypatch.setattr(atexit, "_run_exitfuncs", lambda: print("handled"))
    monkeypatch.setattr("imagefeatures.cli.main", lambda: print("said", file=sys.stderr, end="") or status)
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "stderr", errors)
    with pytest.raises(SystemExit) as ended:
        run_program()
    assert ended.value.code == seen
    if read:
        assert (output.buffer.getvalue(), errors.buffer.getvalue()) == (b"handled\n", b"said")
    output.read_by_someone = True  # it is flushed when it is taken apart


IMPORTING = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "imagefeatures.commands.upkeep":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
import imagefeatures.cli
"""


def test_ctrl_c_while_the_program_is_imported_is_one_line() -> None:
    ended = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "imagefeatures: stopped\n")


HANDLERS = """
import signal
{before}
import imagefeatures.cli
assert signal.getsignal(signal.SIGINT) is {after}
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "signal.default_int_handler"), ("signal.signal(signal.SIGINT, signal.SIG_IGN)", "signal.SIG_IGN")],
)
def test_once_it_is_imported_the_handler_is_what_it_was(before: str, after: str) -> None:
    script = HANDLERS.format(before=before, after=after)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_full_output_is_named_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # a buffer is full of it until the end
    command = [sys.executable, "-c", ENDING.format(status=0)]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (1, "imagefeatures: standard output: No space left on device\n")
