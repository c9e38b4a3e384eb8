"""A folder that others change while it is listed or read, and the edges of what is read of it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from imagefeatures import storage
from imagefeatures.errors import Rejected, StoreRefused
from imagefeatures.reasons import Reason
from imagefeatures.storage import ObjectMissing, local_reading
from support.photos import fill


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder whose first file is listed before the folder beside it is entered; and one outside of it."""
    fill(tmp_path / "outside", {"2.jpg": b"secret", "deep/3.jpg": b"secret"})
    return fill(tmp_path / "photos", {"a/1.jpg": b"one", "a/b/2.jpg": b"two", "a/b/deep/3.jpg": b"3", "c.jpg": b"c"})


# While it is listed


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


def _file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"a file now")


def _fifo(folder: Path) -> None:
    shutil.rmtree(folder)
    os.mkfifo(folder)


def _link_inside(folder: Path) -> None:
    folder.rename(folder.parents[1] / "d")
    folder.symlink_to("../d")


def _link_outside(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to("../../outside")


def _parent_outside(folder: Path) -> None:
    shutil.rmtree(folder.parent)
    fill(folder.parents[2] / "outside", {"b/2.jpg": b"secret"})
    folder.parent.symlink_to("../outside")


def _parent_in_a_circle(folder: Path) -> None:
    shutil.rmtree(folder.parent)
    folder.parent.symlink_to("a")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("swap", "rows"),
    [
        (_gone, []),
        (_file, [("a/b", "")]),
        (_fifo, [("a/b", "NOT_A_FILE")]),
        (_link_inside, [("a/b/", "LINK_TO_FOLDER")]),
        (_link_outside, [("a/b/", "LINK_OUTSIDE")]),
        (_parent_outside, [("a/b/", "LINK_OUTSIDE")]),
        (_parent_in_a_circle, [("a/b", "LINK_BROKEN")]),
    ],
)
def test_a_folder_that_is_swapped_before_it_is_entered_is_one_row(
    source: Path, swap: Callable[[Path], None], rows: list[tuple[str, str]]
) -> None:
    listing = storage.list_entries(f"file://{source}/")
    first = next(listing)
    swap(source / "a/b")
    found = [first, *listing]
    assert [
        (entry.uri.removeprefix(f"file://{source}/"), str(entry.rejected.reason) if entry.rejected else "")
        for entry in found
    ] == [("a/1.jpg", ""), *rows, ("c.jpg", "")]


def test_a_link_is_listed_where_its_own_name_sorts(source: Path) -> None:
    (source / "a/link").symlink_to("b")
    fill(source, {"a/link-2.jpg": b""})
    names = [entry.uri.rpartition("/a/")[2] for entry in storage.list_entries(f"file://{source}/a/")]
    assert names == ["1.jpg", "b/2.jpg", "b/deep/3.jpg", "link/", "link-2.jpg"]


def test_the_root_of_the_file_system_can_be_listed() -> None:
    first = next(iter(storage.list_entries("file:///")))
    assert first.uri.startswith("file:///")
    assert not first.uri.startswith("file:////")


@pytest.mark.parametrize("path", ["file", "file/below", "file/below/that"])
def test_the_file_in_the_place_of_a_folder_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreRefused, match=rf"^file://{tmp_path}/file is a file, not a folder$"):
        list(storage.list_entries(f"file://{tmp_path}/{path}/"))


def test_an_entry_whose_kind_cannot_be_told_is_looked_at_by_itself() -> None:
    def fail(**_: bool) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    assert local_reading._is_folder(cast("os.DirEntry[str]", SimpleNamespace(is_dir=fail))) is False


# When it is read


def test_a_file_whose_folder_became_a_file_is_missing(source: Path) -> None:
    objects = [one for one in storage.list_objects(f"file://{source}/") if one.uri.endswith("/b/2.jpg")]
    _file(source / "a/b")
    (result,) = storage.fetch_all(objects, f"file://{source}/")
    assert isinstance(result, ObjectMissing)


@pytest.mark.parametrize("path", ["nowhere", "c.jpg/below"])
def test_the_size_of_what_is_not_there_is_that_it_is_missing(source: Path, path: str) -> None:
    with pytest.raises(ObjectMissing):
        storage.stat(f"file://{source}/{path}")


def test_the_size_and_version_of_a_file_are_told_without_reading_it(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (listed,) = [one for one in storage.list_objects(f"file://{source}/") if one.uri.endswith("/c.jpg")]
    monkeypatch.setattr(os, "read", None)
    assert storage.stat(listed.uri) == listed
    assert listed.size == 1


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("a", "NOT_A_FILE: it is a folder, and no file"),
        ("/dev/zero", "NOT_A_FILE: it is a device, and no file"),
        ("/proc/self/environ", "NOT_A_FILE: it is the kernel's own, and no file of a disk"),
        ("n" * 300, "NOT_READABLE: a name of 300 bytes in its path is longer than the system opens"),
    ],
)
def test_what_is_no_file_has_no_size(source: Path, path: str, said: str) -> None:
    with pytest.raises(Rejected) as rejected:
        storage.stat(f"file://{source / path}")
    assert str(rejected.value) == said


@pytest.mark.parametrize(("piece", "most"), [(3, 4), (1, 5), (9, 9), (9, 12)])
def test_no_byte_of_the_wanted_ones_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, most: int
) -> None:
    (tmp_path / "file").write_bytes(b"012345678")
    real = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: real(descriptor, min(size, piece)))
    with (tmp_path / "file").open("rb") as file:
        assert local_reading.read_at_most(file.fileno(), most) == b"012345678"[:most]


def test_a_link_beside_a_lost_file_does_not_show_that_the_disk_gives_files(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "link.jpg").symlink_to("../outside/2.jpg")
    real = os.read

    def fails(descriptor: int, most: int) -> Any:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "c.jpg":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, most)

    monkeypatch.setattr(os, "read", fails)
    assert not local_reading._others_can_be_read(f"{source}/c.jpg", 1)
    fill(source, {"d.jpg": b"another"})
    assert local_reading._others_can_be_read(f"{source}/c.jpg", 1)


@pytest.mark.parametrize(
    ("code", "path", "detail"),
    [
        (errno.ELOOP, "/x" + "é" * 2047, "LINK_BROKEN: it is a link that leads in a circle"),
        (errno.ELOOP, f"/a/{'é' * 128}", "LINK_BROKEN: it is a link that leads in a circle"),
        (errno.EUCLEAN, "/x", "NOT_READABLE: the file system is damaged there (Structure needs cleaning)"),
        (errno.EBADMSG, "/x", "NOT_READABLE: the file system is damaged there (Bad message)"),
        (errno.ENXIO, "/x", "NOT_READABLE: the system does not let it be read (No such device or address)"),
    ],
)
def test_an_error_is_told_by_its_kind_whatever_the_path(code: int, path: str, detail: str) -> None:
    rejected = local_reading._rejection(path, OSError(code, os.strerror(code)))
    assert isinstance(rejected, Rejected)
    assert f"{Reason(rejected.reason)}: {rejected.detail}" == detail
