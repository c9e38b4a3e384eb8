"""Where an export is written: what is seen under its name is a whole export, or nothing.

An export grows in a folder beside its name that ends in `.part`, and is moved from there when it is whole and on the
disk. What a killed export has left in such a folder is removed by the next export of this name. A folder of this name
that no export made is left alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from imagefeatures.errors import InputError, ParamsError, StoreRefused
from imagefeatures.storage import durable

LOCK = ".lock"
"""The empty file that holds the lock of a growing export, and marks its folder as one."""

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
    """A file, and those beside it. names: of all of them in one folder, its own last.

    stale: names of files beside an earlier export, which --overwrite removes with it.
    """

    def __init__(self, path: Path, names: Sequence[str], overwrite: bool, stale: Sequence[str] = ()) -> None:
        self._path, self._names, self._overwrite = path, names, overwrite
        self._stale = [path.with_name(name) for name in stale]

    def check(self) -> None:
        if self._path.is_dir():
            raise ParamsError(f"--to: {self._path} is a folder; name a file in it, or end the name of a folder with /")
        for name in self._names:
            place = self._path.with_name(name)
            if not os.path.lexists(place):
                continue
            if place.is_dir():
                raise InputError(f"{place}: is a folder, and the export has a file of this name; choose another name")
            if not place.is_file():  # a pipe, a device, a link that leads nowhere
                raise InputError(f"{place}: is no regular file, so it is not replaced; choose another name")
            if not self._overwrite:
                raise exists(str(place))

    @contextlib.contextmanager
    def writing(self, needed: int, sent: Sent) -> Iterator[Path]:
        with growing(self._path, needed) as folder:
            yield folder
            self.check()
            sync_all(folder)
            stale = [place for place in self._stale if place.is_file()] if self._overwrite else []
            if self._overwrite and (len(self._names) > 1 or stale):
                self._path.unlink(missing_ok=True)  # never the old file beside a new one of other rows
            for place in stale:
                place.unlink()
            self._publish(folder)
            durable.sync_folder(self._path.parent)

    def _publish(self, folder: Path) -> None:
        """Move the files to their places. Where one cannot be moved, none of them stays."""
        moved: list[Path] = []
        try:
            for name in self._names:
                self._move(folder / name, self._path.with_name(name))
                moved.append(self._path.with_name(name))
        except BaseException:
            for place in moved:
                place.unlink(missing_ok=True)
            raise

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
        _check_own(part)
        durable.make_folder(part)
        with _claimed(part, path):
            try:
                check_room(part, needed)
                yield part
            finally:
                with contextlib.suppress(OSError):
                    _clear(part)
                shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise durable.write_failed(str(path), error) from error


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder among the temporary files, removed at the end. A write that fails there is told by its place."""
    place = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - where tempfile looks first, for the message
    try:
        with tempfile.TemporaryDirectory(prefix="imagefeatures-export-") as name:
            place = name
            yield Path(name)
    except OSError as error:
        raise durable.write_failed(place, error) from error


@contextlib.contextmanager
def _claimed(part: Path, path: Path) -> Iterator[None]:
    """Hold the folder for this process, and remove what another one that has ended left there."""
    with open(part / LOCK, "r+b", opener=_open_lock) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{path}: another export writes it now; wait for its end, or choose another name"
            ) from None
        except OSError:  # a file system without locks: two exports of one name would disturb each other
            pass
        _clear(part)
        yield


def _check_own(part: Path) -> None:
    """Raise InputError where the name of the growing folder is taken by what no export made."""
    if not os.path.lexists(part):
        return
    own = part.is_dir() and not part.is_symlink()
    if own and any(part.iterdir()):
        try:
            mark = (part / LOCK).lstat()
            own = stat.S_ISREG(mark.st_mode) and mark.st_size == 0
        except FileNotFoundError:
            own = False
    if not own:
        raise InputError(
            f"{part}: was not made by an export, and an export needs this name while it is written; move it, or choose "
            "another name"
        )


def _open_lock(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def _clear(part: Path) -> None:
    """Remove all but the mark: a kill in the middle leaves a folder that the next export knows as one."""
    for left in part.iterdir():
        if left.name != LOCK:
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


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
