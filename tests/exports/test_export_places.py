"""Where an export grows: what is in the way, what is cleared, and what folder is another's."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from imagefeatures.errors import InputError, StoreError, StoreRefused
from imagefeatures.exports import folder_target, targets
from imagefeatures.exports.folder_target import LIST, LocalFolder, check_replaceable, listing
from imagefeatures.exports.targets import LOCK, LocalFile, check_room, growing, sync_all, temporary_folder
from imagefeatures.storage import durable


def nothing_sent(_: int, __: int) -> None:
    pass


def write(target: LocalFile, **files: str) -> None:
    with target.writing(1, nothing_sent) as folder:
        for name, text in files.items():
            (folder / name).write_text(text)


def test_a_growing_folder_is_there_until_the_end_and_what_was_left_in_it_is_not(tmp_path: Path) -> None:
    part = tmp_path / "a.h5.part"
    (part / "deep" / "er").mkdir(parents=True)
    (part / LOCK).write_bytes(b"")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo").write_bytes(b"x")
    (part / "link").symlink_to(tmp_path / "mine")
    (part / "file").write_bytes(b"x")
    with growing(tmp_path / "a.h5", 1) as folder:
        assert folder == part
        assert [path.name for path in part.iterdir()] == [LOCK]
        (folder / "new").mkdir()
        with pytest.raises(InputError, match="another export writes it now"), growing(tmp_path / "a.h5", 1):
            pass
        assert (folder / "new").is_dir()
    assert not part.exists()
    assert (tmp_path / "mine" / "photo").read_bytes() == b"x"


@pytest.mark.parametrize("kind", ["file", "link", "other files", "a full mark", "a mark that is a folder"])
def test_a_folder_that_no_export_made_is_left_alone(tmp_path: Path, kind: str) -> None:
    part = tmp_path / "a.h5.part"
    if kind == "file":
        part.write_bytes(b"x")
    elif kind == "link":
        (tmp_path / "mine").mkdir()
        part.symlink_to(tmp_path / "mine")
    else:
        part.mkdir()
        (part / "mine").write_bytes(b"x")
        if kind == "a full mark":
            (part / LOCK).write_bytes(b"x")
        if kind == "a mark that is a folder":
            (part / LOCK).mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"\.part: was not made by an export"), growing(tmp_path / "a.h5", 1):
        pass
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_of_the_name_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.h5.part").mkdir()
    with growing(tmp_path / "a.h5", 1) as folder:
        assert (folder / LOCK).stat().st_mode & 0o111 == 0
    assert list(tmp_path.iterdir()) == []


def test_a_growing_folder_that_is_gone_at_the_end_is_no_error(tmp_path: Path) -> None:
    with growing(tmp_path / "a.h5", 1) as folder:
        shutil.rmtree(folder)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(targets.fcntl, "flock", flock)
    names = ["a.parquet", "a.npy"]
    write(LocalFile(tmp_path / "a.npy", names, overwrite=True), **dict.fromkeys(names, "new"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "a.parquet"]


def test_a_write_that_fails_is_told_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match=f"^file://{tmp_path}/a.h5: Input/output error"), growing(tmp_path / "a.h5", 1):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match=r"/imagefeatures-export-.*: Input/output error"), temporary_folder() as folder:
        assert folder.is_dir()
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert not folder.exists()
    monkeypatch.setenv("TMPDIR", "/nowhere/at/all")

    def fails(**_: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(targets.tempfile, "TemporaryDirectory", fails)
    with pytest.raises(StoreError, match=r"^file:///nowhere/at/all: "), temporary_folder():
        pass
    monkeypatch.delenv("TMPDIR")
    with pytest.raises(StoreError, match=r"^file:///tmp: "), temporary_folder():
        pass


def test_room_is_what_is_free_or_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000))
    check_room(tmp_path, 3_000_000)
    with pytest.raises(StoreRefused, match="the export takes about 5 MB, and 3 MB are free"):
        check_room(tmp_path, 5_000_000)


def test_every_file_and_folder_is_on_the_disk_before_it_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[object] = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").readlink()))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"x")
    sync_all(tmp_path)
    assert set(map(str, synced)) == {str(tmp_path), f"{tmp_path}/deep", f"{tmp_path}/deep/file"}
    assert str(synced[-1]) == str(tmp_path)
    synced.clear()
    write(LocalFile(tmp_path / "a.h5", ["a.h5"], overwrite=False), **{"a.h5": "x"})
    assert str(synced[-1]) == str(tmp_path)
    assert any(str(place).endswith("a.h5.part/a.h5") for place in synced)


def test_what_was_beside_an_earlier_export_goes_with_it(tmp_path: Path) -> None:
    for name in ("a.npy", "a.json", "a.parquet", "b.json"):
        (tmp_path / name).write_text("old")
    (tmp_path / "a.pca.npz").mkdir()  # no file: none of ours
    names, stale = ["a.parquet", "a.npy"], ["a.json", "a.pca.npz"]
    with pytest.raises(InputError, match="exists; --overwrite replaces it"):
        LocalFile(tmp_path / "a.npy", names, False, stale).check()
    write(LocalFile(tmp_path / "a.npy", names, True, stale), **dict.fromkeys(names, "new"))
    found = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert found == {"a.npy": "new", "a.parquet": "new", "b.json": "old"}
    assert (tmp_path / "a.pca.npz").is_dir()


def test_where_one_file_cannot_be_moved_none_of_them_stays(tmp_path: Path) -> None:
    target = LocalFile(tmp_path / "a.npy", ["a.parquet", "a.npy"], overwrite=False)
    with pytest.raises(StoreError), target.writing(1, nothing_sent) as folder:
        (folder / "a.parquet").write_text("new")  # the second one is missing
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_links_gets_the_file_by_a_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", link)
    write(LocalFile(tmp_path / "a.h5", ["a.h5"], overwrite=False), **{"a.h5": "x"})
    assert (tmp_path / "a.h5").read_text() == "x"


def test_a_folder_says_what_it_is_and_its_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "梨").write_bytes(b"xyz")
    (tmp_path / "a").write_bytes(b"x")
    said = listing(tmp_path, {"rows": 7})
    assert json.loads(said) == {"rows": 7, "files": {"a": 1, "b/梨": 3}}
    assert "梨" in said
    assert said.endswith("}\n")


@pytest.mark.parametrize("listed", [None, b"[]", b"{", b"{}", b'{"files": 7}', b"\xff"])
def test_a_folder_without_a_list_is_no_export(listed: bytes | None) -> None:
    with pytest.raises(InputError, match=r"^here: is no export, so it is not replaced; choose another folder$"):
        check_replaceable("here", {"a"}, listed)


def test_an_export_with_other_files_in_it_is_not_replaced() -> None:
    listed = b'{"files": {"a": 1, "c": 1}}'
    check_replaceable("here", {"a", LIST}, listed)
    with pytest.raises(InputError, match=r"^here: holds b, which is not of an export"):
        check_replaceable("here", {"a", "d", "b"}, listed)


def test_a_folder_takes_the_place_of_an_earlier_export_or_of_an_empty_one(tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.mkdir()
    for overwrite, text in ((False, "first"), (True, "second")):
        target = LocalFolder(place, {"rows": 1}, overwrite)
        target.check()
        with target.writing(1, nothing_sent) as folder:
            (folder / text).write_text(text)
        assert {path.name for path in place.iterdir()} == {text, LIST}
    assert list(tmp_path.iterdir()) == [place]
    with pytest.raises(InputError, match="exists; --overwrite replaces it"):
        LocalFolder(place, {}, overwrite=False).check()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file, and the export is a folder"):
        LocalFolder(tmp_path / "file", {}, overwrite=True).check()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is a file, and the export is a folder"):
        LocalFolder(tmp_path / "link", {}, overwrite=True).check()


def test_a_folder_that_has_come_there_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = LocalFolder(tmp_path / "out", {}, overwrite=False)

    def come(folder: Path) -> None:
        if not (tmp_path / "out").exists():
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "mine").write_text("x")
            monkeypatch.setattr(Path, "iterdir", lambda self: iter(()))

    monkeypatch.setattr(folder_target, "sync_all", come)
    with pytest.raises(InputError, match="exists; --overwrite replaces it"), target.writing(1, nothing_sent):
        pass
    monkeypatch.undo()
    assert (tmp_path / "out" / "mine").read_text() == "x"
