"""TIFF: a directory of tags that says where everything lies. EXIF is one too, inside other formats."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from imagefeatures.errors import Rejected
from imagefeatures.formats.limits import Metadata
from imagefeatures.reasons import Reason

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # bytes, by type
_PLACES = {273: 279, 324: 325}  # tags: where the strips or tiles lie, and how long each is
_WIDTH, _HEIGHT = 256, 257
_NUMBERS = {3: "u2", 4: "u4"}


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height as the first directory says."""
    try:
        found = {
            tag: int(_numbers(data, kind, 1, at)[0])
            for tag, kind, count, at in _entries(data)
            if tag in (_WIDTH, _HEIGHT) and count and kind in _NUMBERS
        }
    except (struct.error, ValueError):
        return None
    return (found[_WIDTH], found[_HEIGHT]) if len(found) == 2 else None


def check(data: bytes) -> None:
    """Whether all that the first directory names is there, and its tags' bytes. Raises Rejected."""
    metadata, said, numbers = Metadata("TIFF"), 8, {}
    try:
        for tag, kind, count, at in _entries(data):
            size = count * _SIZES.get(kind, 0)
            metadata.add(min(size, len(data)))
            said = max(said, at + size)
            if tag in (*_PLACES, *_PLACES.values()) and kind in _NUMBERS:
                numbers[tag] = _numbers(data, kind, count, at)
    except (struct.error, ValueError):
        raise Rejected(Reason.TRUNCATED, f"TIFF of {len(data):,} bytes without its whole directory") from None
    for starts, lengths in _PLACES.items():
        if starts in numbers and lengths in numbers:
            both = min(len(numbers[starts]), len(numbers[lengths]))
            ends = numbers[starts][:both].astype(np.uint64) + numbers[lengths][:both]
            said = max(said, int(ends.max(initial=0)))
    if len(data) < said:
        raise Rejected(Reason.TRUNCATED, f"TIFF says {said:,} bytes, {len(data):,} are there")


def check_exif(block: bytes, metadata: Metadata) -> None:
    """Count what the tags of an EXIF block claim: many may name the same bytes, and each is read on its own.

    Raises Rejected (METADATA_TOO_LARGE); a block that cannot be read is no fault.
    """
    while block.startswith(b"Exif\0\0"):
        block = block[6:]
    try:
        for _, kind, count, _ in _entries(block):
            metadata.add(min(count * _SIZES.get(kind, 0), len(block)))
    except struct.error:
        pass


def _entries(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(tag, type, count of values, where they stand) of the first directory. Raises struct.error when it is cut."""
    order = "<" if data.startswith(b"I") else ">"
    big = data[2:4] in (b"+\0", b"\0+")  # BigTIFF: wider words; as EXIF, decoders read it
    start, number, entry, word, step = (8, "Q", "HHQ", "Q", 20) if big else (4, "H", "HHI", "I", 12)
    (directory,) = struct.unpack_from(order + word, data, start)
    (count,) = struct.unpack_from(order + number, data, directory)
    first = directory + struct.calcsize(order + number)
    end = first + step * count
    for at in range(first, end, step):
        tag, kind, values = struct.unpack_from(order + entry, data, at)
        value_at = at + struct.calcsize(order + entry)
        if values * _SIZES.get(kind, 0) > struct.calcsize(
            order + word
        ):  # else the values stand in place of their address
            (value_at,) = struct.unpack_from(order + word, data, value_at)
        yield tag, kind, values, value_at
    struct.unpack_from(order + word, data, end)  # where the next directory stands


def _numbers(data: bytes, kind: int, count: int, at: int) -> np.ndarray:
    """The values of a tag that holds whole numbers. Raises ValueError when they are not all there."""
    order = "<" if data.startswith(b"I") else ">"
    return np.frombuffer(data, order + _NUMBERS[kind], count, at)
