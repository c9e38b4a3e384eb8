"""Who asks for what a command changes: whom --by names, or the user of this process, who may have no name."""

from __future__ import annotations

import getpass

import pytest

from imagefeatures.commands import asker
from imagefeatures.errors import ParamsError


def test_it_is_who_is_named_or_the_user_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asker.name("ada") == "ada"
    monkeypatch.setenv("LOGNAME", "grace")
    assert asker.name(None) == asker.name("") == getpass.getuser() == "grace"


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("No username set in the environment")])
def test_a_user_of_no_name_is_told_to_say_who_asks(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(number: int) -> object:
        raise error

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", fail)
    with pytest.raises(ParamsError, match=r"^--by: this process's user has no name; say who asks$"):
        asker.name(None)
