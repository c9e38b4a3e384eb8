"""Locks that end with their process: of local files. A store has none, and neither has every file system."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from imagefeatures.storage.objects import ObjectMissing


@contextlib.contextmanager
def locked(uri: str) -> Iterator[bool | None]:
    """Hold a local file's lock: whether it was free. None where there are no locks. Raises ObjectMissing."""
    if not uri.startswith("file://"):
        yield None
        return
    try:
        file = _opened(Path(uri.removeprefix("file://")))
    except FileNotFoundError:
        raise ObjectMissing(uri) from None
    except PermissionError:  # another user's
        yield False
        return
    with file:
        free: bool | None = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # held
            free = False
        except OSError:  # a file system without locks, or without one for us
            free = None
        yield free


def hold(descriptor: int) -> None:
    """Hold the lock of a new file for as long as it is open. On a file system without locks nothing holds it."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _opened(file: Path) -> IO[bytes]:
    """The file, to be locked. NFS locks only what is open for writing."""
    try:
        return file.open("r+b")
    except OSError:  # nobody may write to it, or not this user
        return file.open("rb")
