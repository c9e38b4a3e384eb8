"""Files and folders for one user: whatever the umask, and from the first byte on."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import private


@pytest.fixture(autouse=True)
def _careless() -> Iterator[None]:
    """A umask that gives everything to everyone."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_private_and_an_existing_one_is_left_alone(tmp_path: Path) -> None:
    private.create(tmp_path / "file", "first")
    assert mode(tmp_path / "file") == 0o600
    with pytest.raises(FileExistsError):
        private.create(tmp_path / "file", "second")
    assert (tmp_path / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_is_private_before_it_has_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    opened = os.fdopen

    def look(descriptor: int, *how: str, **more: str) -> object:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return opened(descriptor, *how, **more)

    monkeypatch.setattr(os, "fdopen", look)
    private.create(tmp_path / "created", "x")
    private.write(tmp_path / "written", "x")
    assert seen == [0o600, 0o600]


def test_a_file_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("open to all")
    with (tmp_path / "file").open() as reader:  # who has it open already does not see what is written now
        assert private.write(tmp_path / "file", "secret") == tmp_path / "file"
        assert reader.read() == "open to all"
    assert mode(tmp_path / "file") == 0o600
    assert (tmp_path / "file").read_text() == "secret"


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "file").symlink_to(tmp_path / "theirs")
    private.write(tmp_path / "file", "secret")
    assert (tmp_path / "theirs").read_text() == "theirs"
    with pytest.raises(FileExistsError):
        (tmp_path / "other").symlink_to(tmp_path / "theirs")
        private.create(tmp_path / "other", "secret")
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_a_folder_is_private_and_is_made_so(tmp_path: Path) -> None:
    assert mode(private.make_folder(tmp_path / "new")) == 0o700
    (tmp_path / "open").mkdir()
    assert mode(tmp_path / "open") == 0o777
    assert mode(private.make_folder(tmp_path / "open")) == 0o700
