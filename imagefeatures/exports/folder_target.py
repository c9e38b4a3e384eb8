"""A folder as an export. Its export.json names all its files: --overwrite replaces an export, and nothing else."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from imagefeatures.errors import InputError
from imagefeatures.exports.targets import Sent, exists, growing, sync_all
from imagefeatures.storage import durable

LIST = "export.json"
"""The file of a folder that says what the export is, and names its other files."""


class LocalFolder:
    """A folder of this machine. It appears whole, by one rename."""

    def __init__(self, path: Path, about: dict[str, Any], overwrite: bool) -> None:
        self._path, self._about, self._overwrite = path, about, overwrite

    def check(self) -> None:
        if self._path.is_symlink() and self._path.is_dir():
            # A rename fails there, or leaves an old export behind the link.
            there = self._path.resolve()
            raise InputError(f"{self._path}: is a link, and a folder is moved to its place; name {there}/ itself")
        if not os.path.lexists(self._path) or (self._path.is_dir() and not any(self._path.iterdir())):
            return
        if not self._path.is_dir():
            raise InputError(f"{self._path}: is a file, and the export is a folder; choose another name")
        if not self._overwrite:
            raise exists(str(self._path))
        found = {path.relative_to(self._path).as_posix() for path in self._path.rglob("*") if not path.is_dir()}
        listed = self._path / LIST
        check_replaceable(str(self._path), found, listed.read_bytes() if listed.is_file() else None)

    @contextlib.contextmanager
    def writing(self, needed: int, sent: Sent) -> Iterator[Path]:
        with growing(self._path, needed) as part:
            folder = part / "new"
            folder.mkdir()
            yield folder
            self.check()
            (folder / LIST).write_text(listing(folder, self._about), encoding="utf-8")
            sync_all(folder)
            if self._path.exists() and any(self._path.iterdir()):
                self._path.rename(part / "old")
            try:
                folder.rename(self._path)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise exists(str(self._path)) from None
            durable.sync_folder(self._path.parent)


def listing(folder: Path, about: dict[str, Any]) -> str:
    """What export.json says: what the export is, and its files with their bytes, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    return json.dumps({**about, "files": sizes}, ensure_ascii=False, indent=1) + "\n"


def check_replaceable(place: str, found: Iterable[str], listed: bytes | None) -> None:
    """Raise InputError for a folder that is no export, or holds other files besides. listed: its export.json."""
    try:
        known = {LIST, *json.loads(listed)["files"]} if listed is not None else set()
    except (ValueError, KeyError, TypeError):
        known = set()
    if not known:
        raise InputError(f"{place}: is no export, so it is not replaced; choose another folder")
    if others := sorted(set(found) - known):
        raise InputError(f"{place}: holds {others[0]}, which is not of an export; move it, or choose another folder")
