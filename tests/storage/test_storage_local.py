"""The file:// store: what only local files have, such as links and folders."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import ObjectMissing
from support.photos import fill


def listed(prefix: str) -> list[str]:
    return [stored.uri for stored in storage.list_objects(prefix)]


def test_a_file_name_with_a_newline_stays_as_it_is(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/new\nline"
    storage.write(uri, b"x")
    assert listed(f"file://{tmp_path}") == [uri]


def test_links_are_followed_and_dangling_ones_are_no_objects(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.jpg").write_bytes(b"one")
    source = tmp_path / "source"
    source.mkdir()
    (source / "folder").symlink_to(tmp_path / "elsewhere")
    (source / "file.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    (source / "nowhere.jpg").symlink_to(tmp_path / "nowhere")
    objects = list(storage.list_objects(f"file://{source}/"))
    assert [o.uri for o in objects] == [f"file://{source}/file.jpg", f"file://{source}/folder/1.jpg"]
    assert [storage.fetch(o) for o in objects] == [b"one", b"one"]


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_a_link_to_a_folder_above_it_is_refused(tmp_path: Path, target: str) -> None:
    source = fill(tmp_path / "photos", {"a/1.jpg": b"one"})
    (source / "a" / "loop").symlink_to(target)
    with pytest.raises(StoreRefused, match=rf"^file://{source}/a/loop is a link to a folder that it lies in$"):
        listed(f"file://{source}")


def test_a_link_to_itself_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("self")
    with pytest.raises(StoreError, match=rf"^file://{tmp_path}/: Too many levels of symbolic links$"):
        listed(f"file://{tmp_path}")


def test_a_file_that_vanishes_while_the_folder_is_listed_is_not_listed(tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        (tmp_path / name).touch()
    listing = storage.list_objects(f"file://{tmp_path}")
    first = next(listing)
    (tmp_path / "2").unlink()
    assert [first.uri, *(o.uri for o in listing)] == [f"file://{tmp_path}/1", f"file://{tmp_path}/3"]


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreRefused, match="is a file, not a folder"):
        listed(f"file://{tmp_path}/file")
    with pytest.raises(ObjectMissing):
        storage.read(f"file://{tmp_path}/file/below")
    for only_if_absent in (False, True):
        with pytest.raises(StoreError, match="file/below"):
            storage.write(f"file://{tmp_path}/file/below", b"", only_if_absent=only_if_absent)


def test_a_failed_local_write_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError):
        storage.write(f"file://{tmp_path}/folder", b"bytes")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_only_if_absent_works_where_files_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", fail)  # as on FAT and some mounts
    assert storage.write(f"file://{tmp_path}/file", b"first", only_if_absent=True)
    assert not storage.write(f"file://{tmp_path}/file", b"second", only_if_absent=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]
