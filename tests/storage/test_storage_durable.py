"""What a local write leaves after a power cut: bytes are on the disk before a name, and names before who names them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import durable

Event = tuple[str, str]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Event]:
    """What is done to the disk: ("sync", file), ("name", file) for a link or a rename, ("folder", folder)."""
    seen: list[Event] = []

    def watched(kind: str, real: Callable[..., object], path_of: Callable[..., str]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            seen.append((kind, str(Path(path_of(*args)).relative_to(tmp_path))))
            return real(*args, **options)

        return call

    def opened(descriptor: int) -> str:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())

    for name, kind, path_of in (
        ("fsync", "sync", opened),
        ("link", "name", lambda _, target: str(target)),
        ("replace", "name", lambda _, target: str(target)),
        ("mkdir", "folder", lambda path, _=0o777: str(path)),
    ):
        monkeypatch.setattr(os, name, watched(kind, getattr(os, name), path_of))
    return seen


@pytest.mark.parametrize("only_if_absent", [False, True])
def test_bytes_then_the_name_then_the_folder(tmp_path: Path, events: list[Event], only_if_absent: bool) -> None:
    storage.write(f"file://{tmp_path}/file", b"bytes", only_if_absent=only_if_absent)
    draft = events[0][1]
    assert draft.startswith(".draft-")
    assert events == [("sync", draft), ("name", "file"), ("sync", ".")]


def test_the_names_of_new_folders_are_on_the_disk_before_the_file(tmp_path: Path, events: list[Event]) -> None:
    storage.write(f"file://{tmp_path}/a/b/file", b"bytes")
    made = [("folder", "a"), ("sync", "."), ("folder", "a/b"), ("sync", "a")]
    assert events[:4] == made
    assert events[4:][1:] == [("name", "a/b/file"), ("sync", "a/b")]


def test_nothing_is_written_into_a_folder_whose_own_name_does_not_reach_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def failing(descriptor: int) -> None:
        if tmp_path.samefile(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StoreError, match=rf"^file://{tmp_path}/new/file: Input/output error$"):
        storage.write(f"file://{tmp_path}/new/file", b"bytes")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_that_another_process_makes_at_the_same_time_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "made" / "meanwhile"
    looked_at = Path.is_dir

    def too_late(path: Path) -> bool:
        was_there = looked_at(path)
        for missing in (folder.parent, folder):  # the other process, between the look and what follows from it
            if not looked_at(missing):
                missing.mkdir()
        return was_there

    monkeypatch.setattr(Path, "is_dir", too_late)
    storage.write(f"file://{folder}/file", b"bytes")
    assert (folder / "file").read_bytes() == b"bytes"


def test_a_file_in_a_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for below in ("new", "new/deeper"):
        with pytest.raises(StoreRefused, match="Not a directory"):
            storage.write(f"file://{tmp_path}/file/{below}/name", b"bytes")


def test_a_file_that_another_writer_has_named_is_on_the_disk_when_it_is_kept(
    tmp_path: Path, events: list[Event]
) -> None:
    (tmp_path / "file").write_bytes(b"first")
    assert not storage.write(f"file://{tmp_path}/file", b"second", only_if_absent=True)
    assert events[-1] == ("sync", ".")


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_a_folder_is_used_nevertheless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert storage.write(f"file://{tmp_path}/file", b"bytes")
    assert storage.read(f"file://{tmp_path}/file") == b"bytes"


def test_a_disk_that_fails_to_store_the_bytes_is_an_error_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match=rf"^file://{tmp_path}/file: Input/output error$"):
        storage.write(f"file://{tmp_path}/file", b"bytes")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "why"), [(errno.ENOSPC, "no space left"), (errno.EDQUOT, "the disk quota is used up")]
)
def test_a_full_disk_is_one_line_with_place_and_remedy_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, why: str
) -> None:
    real, room = os.write, [3]

    def write(descriptor: int, data: bytes) -> int:
        if not room:
            raise OSError(code, os.strerror(code))
        return real(descriptor, data[: room.pop()])  # a full disk takes what fits, and then nothing

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StoreRefused) as failed:  # no retry would find more room
        storage.write(f"file://{tmp_path}/new/file", b"bytes")
    pattern = rf"file://{tmp_path}/new/file: {why}.* \([\d,.]+ MB free\); free some space there, then try again"
    assert re.fullmatch(pattern, str(failed.value))
    assert list((tmp_path / "new").iterdir()) == []


def test_a_write_in_pieces_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:2]))
    durable.write_file(tmp_path / "file", memoryview(b"seven b"))
    assert (tmp_path / "file").read_bytes() == b"seven b"
