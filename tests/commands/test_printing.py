"""A line for a terminal: no secret of the environment, no password of an address, no control character."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagefeatures.commands.printing import say, writing
from imagefeatures.settings import REPOSITORY


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "IMAGEFEATURES_SERVING_TOKEN"])
def test_a_secret_of_the_environment_is_masked_each_time(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "hush")
    say("hush, and once more: hush")
    assert capsys.readouterr().out == "***, and once more: ***\n"


def test_a_password_in_an_address_is_masked_and_no_other_word(capsys: pytest.CaptureFixture[str]) -> None:
    say("http://me:word@host/a@b, s3://bucket/a@b and postgresql://u:p@h/d")
    assert capsys.readouterr().out == "http://***@host/a@b, s3://bucket/a@b and postgresql://***@h/d\n"


def test_what_no_terminal_should_get_is_written_as_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    say("red\x1b[31m\nnext 梨 \u202e")
    assert capsys.readouterr().out == "red\\x1b[31m\\nnext 梨 \\u202e\n"


def test_a_line_goes_where_it_is_sent_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    class Unflushed(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    out = Unflushed()
    say("to a file", out)
    say()
    assert (out.getvalue(), out.flushed) == ("to a file\n", 1)
    assert capsys.readouterr() == ("\n", "")


class Full(io.StringIO):
    """A file on a disk without room."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_error_of_the_output_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Full()
    monkeypatch.setattr(sys, "stderr", full)
    for file, name in ((Full(), "standard output"), (full, "standard error")):
        with pytest.raises(OSError, match="No space left") as raised:
            say("a line", file)
        assert raised.value.filename == name
    with pytest.raises(PermissionError) as raised, writing():
        raise PermissionError(errno.EACCES, "no permission", "/lake/a")
    assert raised.value.filename == "/lake/a"
    with pytest.raises(BrokenPipeError) as raised, writing():
        raise BrokenPipeError
    assert raised.value.filename is None


SAYS = "from imagefeatures.commands.printing import open_streams, say; open_streams(); "


@pytest.mark.parametrize(("encoding", "said"), [("ascii", b"\\xd7 \\u20ac\n"), ("latin1", b"\xd7 \\u20ac\n")])
def test_a_letter_that_the_terminal_lacks_is_its_code(encoding: str, said: bytes) -> None:
    env = os.environ | {"PYTHONIOENCODING": encoding}
    ended = subprocess.run([sys.executable, "-c", SAYS + "say('× €')"], env=env, capture_output=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, said, b"")


@pytest.mark.parametrize("closed", ["0", "1", "2", "012"])
def test_a_stream_that_is_closed_leads_to_nowhere_and_no_file_gets_its_number(closed: str, tmp_path: Path) -> None:
    """Else what a library prints would go into the first file of the lake that is opened."""
    script = SAYS + "number = os.open('file', os.O_RDWR | os.O_CREAT); say('a line'); sys.stderr.write('an error');"
    script += "os.write(1, b'of a library'); assert number > 2 and sys.stdin.read() == ''"
    redirected = " ".join(f"{number}>&-" for number in closed)
    command = f'exec "$0" -c "import os, sys; {script}" </dev/null {redirected}'
    ended = subprocess.run(["sh", "-c", command, sys.executable], cwd=tmp_path, env=on_path(), capture_output=True)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "file").read_bytes() == b""


def on_path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(REPOSITORY)}
