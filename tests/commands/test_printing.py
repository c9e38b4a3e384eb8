"""A line for a terminal: no secret of the environment, no password of an address, no control character."""

from __future__ import annotations

import io

import pytest

from imagefeatures.commands.printing import say


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
