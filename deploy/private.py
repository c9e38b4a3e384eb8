"""Files and folders that only this user may read. Standard library alone: `deploy.compose.env` runs on any Python."""

from __future__ import annotations

import os
from pathlib import Path


def make_folder(path: Path) -> Path:
    """Make the folder for this user alone. An existing one of this user is closed to all others."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.stat()
    if status.st_uid == os.getuid() and status.st_mode & 0o077:
        path.chmod(0o700)
    return path


def create(path: Path, text: str) -> None:
    """Write a new file, readable and writable by this user alone from its first byte on. Raises FileExistsError.

    It is there with all of its text or not at all.
    """
    draft = _draft(path, text)
    try:
        os.link(draft, path)
    finally:
        draft.unlink()


def write(path: Path, text: str) -> Path:
    """Write the file in the same way; one that is there is replaced."""
    return _draft(path, text).replace(path)


def _draft(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return draft
