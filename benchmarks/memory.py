"""The peak memory of processes: of this one, and of every process of a Spark job, recorded while it still runs."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path


def peak_mib(pid: int | None = None) -> float:
    """The peak resident memory of a process in MiB, shared memory included; 0 if the process is ending, or gone.

    pid: this process by default. (getrusage's peak starts with that of the parent process.)
    """
    try:
        status = Path(f"/proc/{pid or 'self'}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(peak[1]) / 1024 if peak else 0.0


def record_peak(folder: Path, kind: str, pid: int) -> None:
    """Write the peak of a running process to a file of its own in the folder. kind: worker, driver, …"""
    if peak := peak_mib(pid):
        (folder / f"{kind}-{pid}").write_text(str(peak))


def recorded_peaks(folder: Path) -> dict[str, float]:
    """The largest recorded peak of each kind of process, in MiB."""
    peaks: dict[str, float] = {}
    for file in folder.iterdir():
        kind = file.name.partition("-")[0]
        peaks[kind] = max(peaks.get(kind, 0), float(file.read_text()))
    return peaks


def children(pid: int) -> list[int]:
    """The running child processes of a process. A thread of it may end meanwhile."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found
