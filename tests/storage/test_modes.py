"""The modes of new files and folders, also where the file system does not let them be changed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefeatures.storage import modes


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize(
    ("setting", "file_mode", "folder_mode"), [("", 0o640, 0o750), ("0600", 0o600, 0o700), ("0664", 0o664, 0o775)]
)
def test_a_new_file_is_never_more_open_than_the_setting_and_no_program_inherits_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, file_mode: int, folder_mode: int
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_FILE_MODE", setting)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fchmod", refuse)  # so what it was made with is seen
        descriptor = modes.create(str(tmp_path / "file"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        assert not os.get_inheritable(descriptor)
        assert os.write(descriptor, b"x") == 1
        assert stat.S_IMODE(os.fstat(descriptor).st_mode) == file_mode
    finally:
        os.close(descriptor)
    with pytest.raises(FileExistsError):
        modes.create(str(tmp_path / "file"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    folder = tmp_path / "folder"
    folder.mkdir(0o707)
    folder.chmod(0o3707)
    modes.restrict_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o3000 | folder_mode


def test_a_narrower_umask_does_not_narrow_the_setting(tmp_path: Path) -> None:
    os.umask(0o077)
    os.close(modes.create(str(tmp_path / "file"), os.O_WRONLY | os.O_CREAT))
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_folder_of_another_user_keeps_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir(0o777)
    monkeypatch.setattr(Path, "chmod", refuse)
    modes.restrict_folder(tmp_path / "folder")
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777
