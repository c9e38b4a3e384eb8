"""What the page keeps on this machine may go while upkeep looks at it: the page bounds it, and forget empties it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from imagefeatures.upkeep import caches
from imagefeatures.upkeep.report import Line


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """The folder of a kept audit of five bytes, of 1970."""
    folder = tmp_path / "audits" / "photos" / "2026-11-01" / "r"
    folder.mkdir(parents=True)
    (folder / "facts.json").write_bytes(b"{}")
    (folder / "labels.csv").write_bytes(b"uri")
    os.utime(folder, (1, 1))
    return folder


def test_an_old_audit_is_counted_and_goes(audit: Path, tmp_path: Path) -> None:
    line = Line("caches")
    caches.clean(tmp_path, 2, line, remove=False)
    assert (line.count, line.size, audit.exists()) == (1, 5, True)
    caches.clean(tmp_path, 2, line, remove=True)
    assert not audit.exists()


@pytest.mark.parametrize("gone", ["r", "facts.json", "labels.csv"])
def test_what_the_page_removes_meanwhile_is_no_error(
    gone: str, audit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.stat

    def vanished(path: Path, **options: bool) -> os.stat_result:
        if path.name == gone:
            raise FileNotFoundError(errno.ENOENT, path.name)
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", vanished)
    line = Line("caches")
    caches.clean(tmp_path, 2, line, remove=True)
    assert line.count == 0


def test_a_thumbnail_at_which_nobody_has_looked_is_counted_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, young = (tmp_path / "thumbnails" / "photos" / name[:2] / f"{name}.jpg" for name in ("abcd", "cdef"))
    for path, moment in ((old, 1), (young, 3)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"jpeg")
        os.utime(path, (moment, moment))
    line = Line("caches")
    caches.clean(tmp_path, 2, line, remove=False)
    assert (line.count, line.size, old.exists()) == (1, 4, True)
    caches.clean(tmp_path, 2, line, remove=True)
    assert (old.exists(), young.exists()) == (False, True)
    monkeypatch.setattr(caches.ThumbnailFolder, "older_than", lambda *_: {old: 4})  # the page was quicker
    caches.clean(tmp_path, 2, line, remove=True)
    assert line.count == 3


def test_an_audit_that_cannot_be_removed_stops_nothing(
    audit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "rmdir", refused)
    caches.clean(tmp_path, 2, Line("caches"), remove=True)
    assert audit.exists()
