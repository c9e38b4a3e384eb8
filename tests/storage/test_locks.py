"""Whether a process still holds a local file: held, free, or not to be known."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from imagefeatures.storage import drafts
from imagefeatures.storage.locks import hold, locked
from imagefeatures.storage.objects import ObjectMissing
from support.disks import lock_as_on_nfs, lock_nothing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    return path


def test_a_file_is_held_until_its_holder_lets_it_go(file: Path) -> None:
    for _ in range(2):
        with locked(f"file://{file}") as ours:
            assert ours is True
            with locked(f"file://{file}") as theirs:
                assert theirs is False
    assert file.read_bytes() == b"bytes"


def test_so_it_is_on_nfs_which_locks_only_what_is_open_for_writing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_as_on_nfs(monkeypatch)
    with locked(f"file://{file}") as ours, locked(f"file://{file}") as theirs:
        assert (ours, theirs) == (True, False)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_file_that_this_user_may_only_read_is_locked_too(
    file: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    real = Path.open

    def only_read(path: Path, mode: str) -> object:
        if mode != "rb":
            raise OSError(code, "refused")
        return real(path, mode)

    monkeypatch.setattr(Path, "open", only_read)
    with locked(f"file://{file}") as ours, locked(f"file://{file}") as theirs:
        assert (ours, theirs) == (True, False)


def test_a_file_that_this_user_may_not_even_read_is_taken_for_held(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, "refused")

    monkeypatch.setattr(Path, "open", refuse)
    with locked(f"file://{file}") as ours:
        assert ours is False


def test_a_new_file_is_held_for_as_long_as_it_is_open(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with file.open("wb") as held:
        hold(held.fileno())
        with locked(f"file://{file}") as ours:
            assert ours is False
    with locked(f"file://{file}") as ours:
        assert ours is True
    lock_nothing(monkeypatch)
    with file.open("wb") as held:
        hold(held.fileno())  # no error


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_nobody_can_tell(file: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    lock_nothing(monkeypatch, code)
    for uri in (f"file://{file}", "s3://b/file"):
        with locked(uri) as ours:
            assert ours is None


def test_a_file_that_is_gone_is_missing(file: Path) -> None:
    file.unlink()
    with pytest.raises(ObjectMissing), locked(f"file://{file}"):
        pass


def test_a_young_draft_goes_with_its_process_only_where_a_lock_can_tell_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = drafts.hidden_name(tmp_path / "file")
    draft.write_bytes(b"bytes")
    with monkeypatch.context() as patched:
        lock_nothing(patched)
        assert drafts.remove_old(str(tmp_path), ended=True) == 0
        assert draft.exists()
    lock_as_on_nfs(monkeypatch)
    assert drafts.remove_old(str(tmp_path)) == 0, "nobody asked for those of a process that has ended"
    assert drafts.remove_old(str(tmp_path), ended=True) == 1
    assert not draft.exists()
