"""Tests of permissions, which bind everybody but root."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

NOBODY = 65534


@contextlib.contextmanager
def folder_of_nobody() -> Iterator[Path]:
    """An empty folder that belongs to this process's user; if that is root, to a user without rights meanwhile.

    pytest's own folders are closed to other users. Restores the user and removes the folder at the end.
    """
    folder = Path(tempfile.mkdtemp(prefix="imagefeatures-"))
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder)
