"""What a job's decode processes took: looked up in /proc while it runs."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

EVERY_SECONDS = 0.05
DECODER = b"import decode_child"  # stands in the command line of a decode process


class MemoryWatch(threading.Thread):
    """Watches the decode processes below one process, until it is stopped.

    peak: the most resident memory that one of them ever had, in bytes (the kernel's own high-water mark).
    decoders: how many there were.
    """

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root, self.peak = root, 0
        self._decoders: set[int] = set()
        self._over = threading.Event()

    @property
    def decoders(self) -> int:
        return len(self._decoders)

    def run(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            for pid in _below(self.root):
                # Looked at anew each time: between fork and exec a process has its parent's command line.
                if DECODER in _read(f"/proc/{pid}/cmdline"):
                    self._decoders.add(pid)
                    mark = re.search(rb"VmHWM:\s+(\d+) kB", _read(f"/proc/{pid}/status"))
                    self.peak = max(self.peak, int(mark[1]) * 1024 if mark else 0)

    def stop(self) -> None:
        self._over.set()
        self.join()


def oom_kills() -> int:
    """How many processes the kernel has killed for memory since it started."""
    found = re.search(rb"^oom_kill (\d+)$", _read("/proc/vmstat"), re.MULTILINE)
    return int(found[1]) if found else 0


def _below(root: int) -> Iterator[int]:
    """The process's children, their children, and so on."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        if stat := _read(f"{path}/stat"):
            parent = int(stat.rpartition(b")")[2].split()[1])  # the name before it may hold anything
            children.setdefault(parent, []).append(int(path.name))
    todo = [root]
    while todo:
        found = children.get(todo.pop(), [])
        todo += found
        yield from found


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
