"""How much memory a process has needed."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mib(pid: int | None = None) -> float:
    """Peak resident memory in MiB since a process was started, shared memory included; 0 when it is just ending.

    pid: by default this process's. (getrusage's peak begins with its parent's.)
    """
    status = Path(f"/proc/{pid or 'self'}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
