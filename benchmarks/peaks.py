"""The peak memory of many processes, each noted in a file while it still lives."""

from __future__ import annotations

from pathlib import Path

from benchmarks.memory import peak_mib


def note(folder: Path, kind: str, pid: int) -> None:
    """Write down the most resident memory that a process has had so far."""
    if peak := peak_mib(pid):
        (folder / f"{kind}-{pid}").write_text(str(peak))


def noted(folder: Path) -> dict[str, float]:
    """The largest peak of each kind of process, in MiB."""
    peaks: dict[str, float] = {}
    for file in folder.iterdir():
        kind = file.name.partition("-")[0]
        peaks[kind] = max(peaks.get(kind, 0), float(file.read_text()))
    return peaks


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
