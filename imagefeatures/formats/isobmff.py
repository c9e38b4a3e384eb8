"""The boxes of the ISO base media file format, of which HEIC, AVIF and JP2 files are made, and films."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """kind: four bytes. start: position of its header. content: position of what it holds.

    end: position behind it, as it declares it, which may be behind the end of the data.
    """

    kind: bytes
    start: int
    content: int
    end: int


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes between two positions, up to what is not the header of a box."""
    while start + 8 <= end:
        size, kind, content = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8], start + 8
        if size == 1:  # the size stands behind the kind
            size, content = int.from_bytes(data[start + 8 : start + 16]), start + 16
            if content > end:
                return
        stop = start + size if size else end  # 0: up to the end of the file
        if stop < content:
            return
        yield Box(kind, start, content, stop)
        start = stop


class Reader:
    """Reads numbers from a position on. Raises ValueError when they reach behind the end."""

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self._data = data
        self.position = position
        self.end = min(end, len(data))

    def take(self, count: int) -> bytes:
        """The next bytes."""
        stop = self.position + count
        if stop > self.end:
            raise ValueError(f"it ends after {self.end:,} bytes, {stop:,} are needed")
        found = self._data[self.position : stop]
        self.position = stop
        return found

    def number(self, count: int) -> int:
        """The next bytes as an unsigned number, big end first; 0 for no byte."""
        return int.from_bytes(self.take(count))
