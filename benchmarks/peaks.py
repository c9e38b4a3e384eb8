"""The peak memory of many processes, each noted in a file while it still lives."""

from __future__ import annotations

import re
from pathlib import Path


def note(folder: Path, kind: str, pid: int) -> None:
    """Write down the most resident memory that a process has had so far, shared memory included."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found:  # else it is ending, and has none
        (folder / f"{kind}-{pid}").write_text(found.group(1))


def noted(folder: Path) -> dict[str, float]:
    """The largest peak of each kind of process, in MiB."""
    peaks: dict[str, float] = {}
    for file in folder.iterdir():
        kind = file.name.partition("-")[0]
        peaks[kind] = max(peaks.get(kind, 0), int(file.read_text()) / 1024)
    return peaks


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
