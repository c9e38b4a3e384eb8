"""The files in which the kernel shows itself and its processes: no image is there, but secrets of this process are."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason

PLACES = ("/proc", "/sys")


def check(status: os.stat_result) -> None:
    """Raise Rejected (NOT_A_FILE) for such a file, by whatever path or link it is reached."""
    if status.st_dev in _devices():
        raise Rejected(Reason.NOT_A_FILE, "it is the kernel's own, and no file of a disk")


@cache
def _devices() -> frozenset[int]:
    return frozenset(Path(place).stat().st_dev for place in PLACES if Path(place).is_mount())
