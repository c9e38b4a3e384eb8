"""The file:// store: what only local files have, such as folders and modes. Reading: test_local_reading.py."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import ObjectMissing


def listed(prefix: str) -> list[str]:
    return [stored.uri for stored in storage.list_objects(prefix)]


def test_a_file_name_with_a_newline_stays_as_it_is(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/new\nline"
    storage.write(uri, b"x")
    assert listed(f"file://{tmp_path}") == [uri]


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
        with pytest.raises(StoreRefused, match="file/below"):
            storage.write(f"file://{tmp_path}/file/below", b"", only_if_absent=only_if_absent)


def test_a_failed_local_write_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreRefused, match="Is a directory"):
        storage.write(f"file://{tmp_path}/folder", b"bytes")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS])
def test_only_if_absent_works_where_files_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", fail)  # as on FAT and some mounts
    assert storage.write(f"file://{tmp_path}/file", b"first", only_if_absent=True)
    assert not storage.write(f"file://{tmp_path}/file", b"second", only_if_absent=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_link_that_fails_for_another_reason_is_an_error_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises((StoreError, StoreRefused), match=rf"^file://{tmp_path}/file: (?i:{os.strerror(code)})"):
        storage.write(f"file://{tmp_path}/file", b"first", only_if_absent=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_files_is_deleted_with_all_that_is_in_it_and_once_is_enough(tmp_path: Path) -> None:
    storage.write(f"file://{tmp_path}/run/step/file", b"x")
    for _ in range(2):
        storage.delete_folder(f"file://{tmp_path}/run")
        assert list(tmp_path.iterdir()) == []
    assert storage.abort_old_uploads(f"file://{tmp_path}") == 0


def test_what_is_no_folder_is_not_deleted_and_that_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(StoreRefused, match=rf"^file://{tmp_path}/file/: Not a directory: [^\n]*$"):
        storage.delete_folder(f"file://{tmp_path}/file")
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_what_is_there_exists_and_what_lies_directly_in_a_folder_is_named(tmp_path: Path) -> None:
    for key in ("b", "a", "folder/c"):
        storage.write(f"file://{tmp_path}/{key}", b"x")
    assert storage.exists(f"file://{tmp_path}/a")
    assert not storage.exists(f"file://{tmp_path}/c")
    assert storage.names(f"file://{tmp_path}") == storage.names(f"file://{tmp_path}/") == ["a", "b"]


@pytest.mark.parametrize("uri", ["/data/x", "file:/data/x", "http://data/x", "s3:bucket/x", "file", "s3"])
def test_an_address_of_another_kind_is_refused_by_its_name(uri: str) -> None:
    with pytest.raises(StoreRefused, match=f"^{uri}: neither file:// nor s3://$"):
        storage.read(uri)


# Modes


@pytest.fixture(params=[0o022, 0o077, 0o000], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(
    ("setting", "file_mode", "folder_mode"), [("", 0o640, 0o750), ("0600", 0o600, 0o700), ("0664", 0o664, 0o775)]
)
@pytest.mark.parametrize("only_if_absent", [True, False])
def test_new_files_and_folders_have_the_settings_mode_whatever_the_umask(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    file_mode: int,
    folder_mode: int,
    only_if_absent: bool,
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_FILE_MODE", setting)
    tmp_path.chmod(0o2755)  # by its setgid bit a shared folder hands on its group
    storage.write(f"file://{tmp_path}/new/folder/file", b"bytes", only_if_absent=only_if_absent)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path, tmp_path / "new", tmp_path / "new/folder")]
    assert modes == [0o2755, 0o2000 | folder_mode, 0o2000 | folder_mode]
    assert stat.S_IMODE((tmp_path / "new/folder/file").stat().st_mode) == file_mode
