"""Who may read what this service writes to a file system: the mode of new files and folders, by a setting.

A file system without modes of its own (FAT, some mounts) refuses to change one; its files keep the mount's mode.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from imagefeatures.settings import file_mode


def create(path: str, flags: int) -> int:
    """Create a file with the setting's mode, whatever the umask: an opener for `open`. Raises OSError."""
    mode = file_mode()
    descriptor = os.open(path, flags | os.O_CLOEXEC, mode)  # never wider than that, not for a moment
    with contextlib.suppress(PermissionError):
        os.fchmod(descriptor, mode)
    return descriptor


def restrict_folder(folder: Path) -> None:
    """Give a new folder the setting's mode; whoever may read its files may enter it too. Raises OSError."""
    mode = file_mode()
    inherited = folder.stat().st_mode & 0o7000  # such as setgid, by which a shared folder hands on its group
    with contextlib.suppress(PermissionError):  # another user made it at the same time
        folder.chmod(inherited | mode | (mode & 0o444) >> 2)
