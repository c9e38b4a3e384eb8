"""The steps of a durable write, one by one: folders, files, and the wait for a folder's names."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import durable


def failing(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def test_a_file_in_a_folders_place_is_named_whoever_put_it_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError) as refused:
        durable.make_folder(tmp_path / "file")
    assert (refused.value.errno, refused.value.filename) == (errno.ENOTDIR, str(tmp_path / "file"))


def test_a_new_folder_has_the_settings_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_FILE_MODE", "0600")
    durable.make_folder(tmp_path / "a" / "b")
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) & 0o777 for name in ("a", "a/b")] == [0o700, 0o700]


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_file_that_cannot_be_written_whole_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise failing(errno.EIO)

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="Input/output error"):
        durable.write_file(tmp_path / "file", b"bytes")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_neither_written_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"before")
    with pytest.raises(FileExistsError):
        durable.write_file(tmp_path / "file", b"bytes")
    assert (tmp_path / "file").read_bytes() == b"before"


def test_only_the_names_of_a_folder_are_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        durable.sync_folder(tmp_path / "file")


@pytest.mark.parametrize("code", [None, errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EIO])
def test_the_wait_for_a_folder_leaves_no_descriptor_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    """The first three errors come from file systems that cannot sync a folder; the last is one of the disk."""

    def fail(_: int) -> None:
        if code is not None:
            raise failing(code)

    monkeypatch.setattr(os, "fsync", fail)
    before = len(list(Path("/proc/self/fd").iterdir()))
    if code == errno.EIO:
        with pytest.raises(OSError, match="Input/output error"):
            durable.sync_folder(tmp_path)
    else:
        durable.sync_folder(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


FAILED = {
    errno.ENOSPC: "no space left on its file system (",
    errno.EDQUOT: "the disk quota is used up (",
    errno.EIO: "Input/output error",
}


@pytest.mark.parametrize(("code", "why"), FAILED.items())
def test_a_failed_write_says_place_and_remedy(tmp_path: Path, code: int, why: str) -> None:
    error = durable.write_failed(f"{tmp_path}/not/there/file", failing(code))
    assert type(error) is (StoreError if code == errno.EIO else StoreRefused)
    assert str(error).startswith(f"file://{tmp_path}/not/there/file: {why}")
    assert str(error).endswith(" MB free); free some space there, then try again") is (code != errno.EIO)
    assert str(durable.write_failed("/x", OSError("words alone"))) == "file:///x: words alone"


def test_the_free_space_is_that_which_a_user_has_in_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    status = list(os.statvfs("/"))
    status[1], status[3], status[4] = 4096, 999_999, 500_000  # f_frsize, f_bfree, f_bavail
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(status))
    assert durable.free(Path("/")) == "2,048.0 MB"
