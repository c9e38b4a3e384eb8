"""Core time and memory of this process and of the children that work for it, as Linux counts them.

A child that has ended and was waited for is among the children that the system adds up itself. So the sum of both
kinds never falls, and the difference of two readings is what was used between them, whichever children died meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
"""The units of core time in /proc/<pid>/stat, a second."""

_children: set[int] = set()
os.register_at_fork(after_in_child=_children.clear)  # they are the parent's


def watch(pid: int) -> None:
    """From now on count a child of this process."""
    _children.add(pid)


def unwatch(pid: int) -> None:
    """No longer count a child. Called once it has been waited for."""
    _children.discard(pid)


def core_seconds() -> float:
    """Seconds of a core that this process, its watched children and those that have ended have used in their lives.

    Threads of native libraries are included.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + sum(map(core_seconds_of, tuple(_children)))


def core_seconds_of(pid: int) -> float:
    """Seconds of a core that another process has used in its life, without its children; 0 where it is gone."""
    with contextlib.suppress(OSError, ValueError, IndexError), Path(f"/proc/{pid}/stat").open("rb") as file:
        # The program's name may hold blanks and brackets: the fields after it are counted from its end.
        fields = file.read().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


def peak_memory() -> int | None:
    """The most bytes in memory of this process since `forget_peaks`, and of each watched child since then.

    The peaks are added up, though they need not be of one moment. Memory that a child shares with this process counts
    once. None where the system does not tell it.
    """
    own = _status("self")
    if "VmHWM" not in own:
        return None
    of_children = (_status(str(pid)) for pid in tuple(_children))
    return own["VmHWM"] + sum(max(0, child.get("VmHWM", 0) - child.get("RssShmem", 0)) for child in of_children)


def forget_peaks() -> None:
    """Let the peaks begin anew. Where the system does not allow it, a peak is that of the process's life."""
    for process in ("self", *map(str, tuple(_children))):
        with contextlib.suppress(OSError), Path(f"/proc/{process}/clear_refs").open("wb", buffering=0) as file:
            file.write(b"5")


def _status(process: str) -> dict[str, int]:
    """The fields of /proc/<process>/status that are in kB, in bytes; none where the process is gone."""
    with contextlib.suppress(OSError), Path(f"/proc/{process}/status").open("rb") as file:
        fields = (line.split() for line in file.read().splitlines())
        return {field[0][:-1].decode(): int(field[1]) * 1024 for field in fields if field[2:] == [b"kB"]}
    return {}
