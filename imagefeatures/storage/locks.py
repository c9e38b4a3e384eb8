"""Locks that end with their process: of local files. A store has none."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from imagefeatures.storage.objects import ObjectMissing


@contextlib.contextmanager
def locked(uri: str) -> Iterator[bool]:
    """Hold a local file's lock: whether it was free. A store has no locks: True. Raises ObjectMissing."""
    if not uri.startswith("file://"):
        yield True
        return
    try:
        file = Path(uri.removeprefix("file://")).open("rb")  # noqa: SIM115 - closed below, with the lock
    except FileNotFoundError:
        raise ObjectMissing(uri) from None
    except PermissionError:  # another user's
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held; or a file system without locks
            yield False
        else:
            yield True


def hold(descriptor: int) -> None:
    """Hold the lock of a new file for as long as it is open. On a file system without locks nothing holds it."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
