"""An object store as the place of an export: written here first, then sent, each object whole or not at all.

A folder of objects cannot appear at once. It is an export as soon as export.json is there, which is sent last. Before
it goes unfinished.json, by which the next export knows what a killed one has left.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from imagefeatures import storage
from imagefeatures.exports.folder_target import LIST, check_replaceable, listing
from imagefeatures.exports.targets import Sent, check_room, exists, temporary_folder
from imagefeatures.storage.s3_upload import S3Upload

UNFINISHED = "unfinished.json"
"""The object of a folder that names the files which are being sent, or were when the export was killed."""


class S3Object:
    """One object, and those beside it. uri: of its own. names: of all of them, its own last.

    stale: names of objects beside an earlier export, which --overwrite removes with it.
    """

    def __init__(self, uri: str, names: Sequence[str], overwrite: bool, stale: Sequence[str] = ()) -> None:
        self._folder, self._names, self._overwrite = uri.rpartition("/")[0], names, overwrite
        self._stale = stale

    def check(self) -> None:
        if self._overwrite:
            return
        for name in self._names:
            if self._is_there(name):
                raise exists(f"{self._folder}/{name}")

    @contextlib.contextmanager
    def writing(self, needed: int, sent: Sent) -> Iterator[Path]:
        with _here(needed) as folder:
            yield folder
            self.check()
            stale = [name for name in self._stale if self._overwrite and self._is_there(name)]
            if self._overwrite and (len(self._names) > 1 or stale):
                S3Upload().delete(_path(f"{self._folder}/{self._names[-1]}"))  # never beside another's rows
            for name in stale:
                S3Upload().delete(_path(f"{self._folder}/{name}"))
            _send(folder, self._names, self._folder, not self._overwrite, sent)

    def _is_there(self, name: str) -> bool:
        try:
            storage.stat(f"{self._folder}/{name}")
        except storage.ObjectMissing:
            return False
        return True


class S3Folder:
    """A folder of objects. uri: without the slash at its end."""

    def __init__(self, uri: str, about: dict[str, Any], overwrite: bool) -> None:
        self._uri, self._about, self._overwrite = uri, about, overwrite

    def check(self) -> None:
        found = set(self._found())
        if not found:
            return
        mark = LIST
        if LIST not in found and UNFINISHED in found:  # of a killed export: nobody reads it
            mark = UNFINISHED
        elif not self._overwrite:
            raise exists(self._uri)
        listed = storage.read(f"{self._uri}/{mark}") if mark in found else None
        check_replaceable(self._uri, found - {UNFINISHED}, listed)

    @contextlib.contextmanager
    def writing(self, needed: int, sent: Sent) -> Iterator[Path]:
        with _here(needed) as folder:
            yield folder
            self.check()
            listed = listing(folder, self._about)
            names, old = list(json.loads(listed)["files"]), set(self._found()) - {LIST, UNFINISHED}
            going = {"files": dict.fromkeys([*old, *names], 0)}
            storage.write(f"{self._uri}/{UNFINISHED}", json.dumps(going).encode())
            store = S3Upload()
            for name in [LIST, *old]:
                store.delete(_path(f"{self._uri}/{name}"))
            _send(folder, names, self._uri, True, sent)
            storage.write(f"{self._uri}/{LIST}", listed.encode())
            store.delete(_path(f"{self._uri}/{UNFINISHED}"))

    def _found(self) -> Iterator[str]:
        for entry in storage.list_objects(self._uri):
            yield entry.uri.removeprefix(f"{self._uri}/")


@contextlib.contextmanager
def _here(needed: int) -> Iterator[Path]:
    """A folder of this machine with room for the export."""
    with temporary_folder() as folder:
        check_room(folder, needed)
        yield folder


def _send(folder: Path, names: Sequence[str], place: str, only_if_absent: bool, sent: Sent) -> None:
    """Send files as objects of the same names, one after the other."""
    store, arrived = S3Upload(), 0
    whole = sum((folder / name).stat().st_size for name in names)
    for name in names:
        if not store.upload(_path(f"{place}/{name}"), folder / name, only_if_absent):
            raise exists(f"{place}/{name}")
        arrived += (folder / name).stat().st_size
        sent(arrived, whole)


def _path(uri: str) -> str:
    return uri.removeprefix("s3://")
