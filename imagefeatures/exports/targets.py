"""Where an export is written: what is seen under its name is a whole export, or nothing.

An export grows in a folder beside its name that ends in `.part`, and is moved from there when it is whole and on the
disk. What a killed export has left in such a folder is removed by the next export of this name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from imagefeatures.errors import InputError, ParamsError, StoreRefused
from imagefeatures.storage import durable

Sent = Callable[[int, int], None]
"""Called while files are sent to a store, with the bytes that have arrived and all bytes."""


class Target(Protocol):
    """A place for an export."""

    def check(self) -> None:
        """Raises InputError where something is there that is not to be replaced; and as a store does."""

    def writing(self, needed: int, sent: Sent) -> AbstractContextManager[Path]:
        """Gives a local folder to write into, and publishes what is in it at the end; nothing after an error.

        needed: bytes. Raises StoreRefused where the disk has less room; and as `check`.
        """


class LocalFile:
    """A file, and those beside it. names: of all of them in one folder, its own last."""

    def __init__(self, path: Path, names: Sequence[str], overwrite: bool) -> None:
        self._path, self._names, self._overwrite = path, names, overwrite

    def check(self) -> None:
        if self._path.is_dir():
            raise ParamsError(f"--to: {self._path} is a folder; name a file in it, or end the name of a folder with /")
        for name in self._names:
            place = self._path.with_name(name)
            if place.is_dir() or (place.exists() and not self._overwrite):
                raise exists(str(place))

    @contextlib.contextmanager
    def writing(self, needed: int, sent: Sent) -> Iterator[Path]:
        with growing(self._path, needed) as folder:
            yield folder
            self.check()
            sync_all(folder)
            if self._overwrite and len(self._names) > 1:
                self._path.unlink(missing_ok=True)  # never the old file beside a new one of other rows
            for name in self._names:
                self._move(folder / name, self._path.with_name(name))
            durable.sync_folder(self._path.parent)

    def _move(self, draft: Path, place: Path) -> None:
        if self._overwrite:
            draft.replace(place)
            return
        try:
            os.link(draft, place)  # unlike a rename, this fails where something has come there meanwhile
        except FileExistsError:
            raise exists(str(place)) from None
        except OSError:  # a file system without hard links: `check` has just looked
            draft.replace(place)


@contextlib.contextmanager
def growing(path: Path, needed: int) -> Iterator[Path]:
    """A folder beside `path` that no other export uses, removed at the end. A write that fails is told by its place."""
    part = path.with_name(f"{path.name}.part")
    try:
        durable.make_folder(part)
        check_room(part, needed)
        with _claimed(part, path):
            try:
                yield part
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise durable.write_failed(str(path), error) from error


@contextlib.contextmanager
def _claimed(part: Path, path: Path) -> Iterator[None]:
    """Hold the folder for this process, and remove what another one that has ended left there."""
    with (part / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{path}: another export writes it now; wait for its end, or choose another name"
            ) from None
        except OSError:  # a file system without locks: two exports of one name would disturb each other
            pass
        for left in part.iterdir():
            if left.name != ".lock":
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield


def check_room(folder: Path, needed: int) -> None:
    """Raise StoreRefused where the disk has less than `needed` bytes free."""
    if (free := shutil.disk_usage(folder).free) < needed:
        raise StoreRefused(
            f"{folder}: the export takes about {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free; free some "
            "space there, or choose another place"
        )


def exists(place: str) -> InputError:
    """The error of an export to a name that is taken."""
    return InputError(f"{place}: exists; --overwrite replaces it")


def sync_all(folder: Path) -> None:
    """Wait until every file below a folder is on the disk."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            durable.sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
