"""How much memory a process has needed."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mib() -> float:
    """This process's peak resident memory in MiB, since it was started. (getrusage's begins with its parent's.)"""
    status = Path("/proc/self/status").read_text()
    (kib,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kib) / 1024
