"""Why a file of a folder is not read: each kind of file and each error of the system, in words and by its class."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from imagefeatures import storage
from imagefeatures.errors import Rejected, StoreError, StoreRefused
from imagefeatures.reasons import Reason
from imagefeatures.storage import local_reading


def failure(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@contextmanager
def all_closed() -> Iterator[None]:
    """No more files are open at the end than at the beginning."""
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of Path.iterdir some are gone by then
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (stat.S_IFIFO, "a FIFO"),
        (stat.S_IFSOCK, "a socket"),
        (stat.S_IFCHR, "a device"),
        (stat.S_IFBLK, "a device"),
        (stat.S_IFDIR, "a folder"),
        (0o150000, "something else"),
    ],
)
def test_what_is_no_file_is_rejected_by_its_kind(kind: int, words: str) -> None:
    with pytest.raises(Rejected) as rejected:
        local_reading._check_is_file(cast("os.stat_result", SimpleNamespace(st_mode=kind | 0o644)))
    assert (rejected.value.reason, rejected.value.detail) == (Reason.NOT_A_FILE, f"it is {words}, and no file")


@pytest.mark.parametrize(
    ("code", "path", "reason", "detail"),
    [
        (errno.EACCES, "/x", Reason.NOT_READABLE, "permission denied"),
        (errno.EPERM, "/x", Reason.NOT_READABLE, "permission denied"),
        (errno.ENOKEY, "/x", Reason.NOT_READABLE, "permission denied"),
        (errno.ENAMETOOLONG, "/é" * 1365, Reason.LINK_BROKEN, "it is a link that leads to nothing"),
        (errno.ENAMETOOLONG, f"/a/{'x' * 255}", Reason.LINK_BROKEN, "it is a link that leads to nothing"),
        (
            errno.ENAMETOOLONG,
            f"/a/{'é' * 128}/b",
            Reason.NOT_READABLE,
            "a name of 256 bytes in its path is longer than the system opens",
        ),
        (errno.EINVAL, "/x", Reason.NOT_READABLE, "the system does not let it be read (Invalid argument)"),
        (
            errno.ENAMETOOLONG,
            "/x" + "é" * 2047,
            Reason.NOT_READABLE,
            "its path of 4,096 bytes is longer than the system opens",
        ),
        (errno.ELOOP, "/x", Reason.LINK_BROKEN, "it is a link that leads in a circle"),
    ],
)
def test_an_error_of_one_file_is_its_reason(code: int, path: str, reason: Reason, detail: str) -> None:
    rejected = local_reading._rejection(path, failure(code))
    assert (rejected.reason, rejected.detail) == (reason, detail)


def test_an_error_of_the_disk_is_no_files_reason() -> None:
    with pytest.raises(StoreError, match=r"^file:///x: Input/output error$"):
        local_reading._rejection("/x", failure(errno.EIO))


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (errno.EACCES, StoreRefused, "permission denied"),
        (errno.ENOKEY, StoreRefused, "permission denied"),
        (errno.ELOOP, StoreRefused, "Too many levels of symbolic links"),
        (errno.ENAMETOOLONG, StoreRefused, "File name too long"),
        (errno.EIO, StoreError, "Input/output error"),
        (errno.ESTALE, StoreError, "Stale file handle"),
    ],
)
@pytest.mark.parametrize("read", [storage.read, lambda uri: list(storage.list_objects(uri))], ids=["read", "list"])
def test_an_error_that_stops_the_run_names_the_place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[str], object],
    code: int,
    kind: type[Exception],
    words: str,
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise failure(code)

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(kind, match=rf"^file://{tmp_path}/?: {words}$") as raised:
        read(f"file://{tmp_path}")
    assert type(raised.value) is kind


def test_a_socket_is_no_file_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has 107 bytes at most
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        with all_closed(), pytest.raises(StoreRefused, match=rf"^file://{tmp_path}/socket is not a file$"):
            storage.read(f"file://{tmp_path}/socket")


def test_nothing_is_read_where_the_kernel_does_not_tell_the_real_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.setattr(os, "readlink", lambda _: (_ for _ in ()).throw(FileNotFoundError))
    said = rf"^file://{tmp_path}: nothing can be read safely while /proc is not mounted$"
    with all_closed(), pytest.raises(StoreRefused, match=said):
        list(storage.list_objects(f"file://{tmp_path}"))


def test_the_root_of_the_file_system_may_be_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"one")
    (stored,) = storage.list_objects(f"file://{tmp_path}")
    assert list(storage.fetch_all([stored], "file:///")) == [b"one"]


def test_a_link_in_words(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for link, target in (("folder", "a"), ("out", "/"), ("broken", "nowhere"), ("circle", "circle")):
        (tmp_path / link).symlink_to(target)
    said = {
        entry.uri.removeprefix(f"file://{tmp_path}/"): entry.rejected.detail
        for entry in storage.list_entries(f"file://{tmp_path}")
        if entry.rejected
    }
    assert said == {
        "broken": "it is a link that leads to nothing",
        "circle": "it is a link that leads in a circle",
        "folder/": "it is a link to a folder of the source, whose files are listed under their own names",
        "out/": "it is a link, or lies behind one, that leads out of the source's folder",
    }


def test_whatever_becomes_of_a_file_it_is_closed_again(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("changed", "file", "folder", "gone", "out")]
    for file in files:
        file.write_bytes(b"one")
    objects = list(storage.list_objects(f"file://{tmp_path}"))
    files[0].write_bytes(b"another")
    for file in files[2:]:
        file.unlink()
    files[2].mkdir()
    files[4].symlink_to("/dev/zero")
    with all_closed():
        found = [type(fetched).__name__ for fetched in storage.fetch_all(objects, f"file://{tmp_path}")]
        assert found == ["ObjectChanged", "bytes", "Rejected", "ObjectMissing", "Rejected"]
        assert [entry.rejected and entry.rejected.reason for entry in storage.list_entries(f"file://{tmp_path}")] == [
            None, None, "LINK_OUTSIDE",
        ]  # fmt: skip
        assert storage.read_part(f"file://{files[1]}", 1, 1) == b"n"
        with pytest.raises(Rejected, match="it is a folder, and no file"):
            storage.fetch(objects[2])
        with pytest.raises(StoreRefused, match=rf"^file://{files[2]}: it is a folder, and no file$"):
            storage.read(f"file://{files[2]}")
