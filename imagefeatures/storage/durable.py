"""Writes to a file system that survive a power cut: bytes first, then the name, then the folder that holds the name.

A file system may store a name before the bytes behind it: after a power cut the file is there and empty. So what names
a file must not be written before the file and the name of the file are on the disk. Each function returns only then.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import modes
from imagefeatures.storage.locks import hold
from imagefeatures.usage import traffic

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

REFUSED = {
    errno.EACCES: "permission denied; give the service's user the right to write there",
    errno.EPERM: "permission denied; give the service's user the right to write there",
    errno.EROFS: "its file system is mounted read-only; mount it for writing",
    errno.ENOTDIR: "Not a directory: a file is where a folder should be",
    errno.EISDIR: "Is a directory: a folder is where the file should be",
    errno.ELOOP: "its path leads in a circle of links",
    errno.ENAMETOOLONG: "its path is longer than the file system takes",
}
"""What another try would not change, and in part what to do."""


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; another process may make them meanwhile.

    Raises OSError; NotADirectoryError where one of them is a file.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError as error:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
    modes.restrict_folder(folder)
    sync_folder(folder.parent)


def write_file(path: Path, data: bytes | memoryview) -> None:
    """Write a new file as `written` does. Raises OSError."""
    with written(path, data):
        pass


@contextlib.contextmanager
def written(path: Path, data: bytes | memoryview) -> Iterator[None]:
    """Write a new file, and hold its lock in the block; one that cannot be written whole is removed.

    Its name is not safe yet: `sync_folder` follows once the name is final. Raises OSError.
    """
    with open(path, "xb", buffering=0, opener=modes.create) as file:
        hold(file.fileno())
        try:
            write_all(file.fileno(), data)
            os.fsync(file.fileno())
        except OSError:
            path.unlink()
            raise
        yield


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write to an open file. Raises OSError."""
    view = memoryview(data).cast("B")
    traffic.written(len(view))
    while view:  # a write may be shorter than asked for: 2 GB at most, or what fits on the disk
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # File systems such as CIFS refuse it for a folder, and store a name by themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def write_failed(path: str, error: OSError) -> StoreError | StoreRefused:
    """The error of a write to a path, in one line: StoreError where another try may help, such as on a network's disk.

    A full disk is StoreRefused, with its place and the remedy: it does not empty itself.
    """
    if error.errno in REFUSED:
        return StoreRefused(f"file://{path}: {REFUSED[error.errno]}")
    if error.errno not in NO_ROOM:
        return StoreError(f"file://{path}: {error.strerror or error}")
    folder = Path(path)
    while not folder.is_dir():
        folder = folder.parent
    why = "the disk quota is used up" if error.errno == errno.EDQUOT else "no space left on its file system"
    return StoreRefused(f"file://{path}: {why} ({free(folder)} free); free some space there, then try again")


def free(folder: Path) -> str:
    """The free space of the folder's file system, for a person to read."""
    status = os.statvfs(folder)
    return f"{status.f_bavail * status.f_frsize / 1e6:,.1f} MB"
