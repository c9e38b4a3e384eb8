"""TIFF: a directory of tags with the positions of all other parts. EXIF blocks of other formats are TIFF too."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from imagefeatures.errors import Rejected
from imagefeatures.formats.limits import Metadata
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # bytes of a type
_OFFSETS_AND_LENGTHS = {273: 279, 324: 325}  # the tags of the strips' or tiles' offsets: of their lengths
_WIDTH, _HEIGHT = 256, 257
_INTEGERS = {3: "u2", 4: "u4"}  # NumPy's names of the types of whole numbers


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the first directory; None if it is incomplete."""
    try:
        sides = {
            tag: int(_integers(data, kind, 1, start)[0])
            for tag, kind, count, start in _entries(data)
            if tag in (_WIDTH, _HEIGHT) and count and kind in _INTEGERS
        }
    except (struct.error, ValueError):
        return None
    return (sides[_WIDTH], sides[_HEIGHT]) if len(sides) == 2 else None


def check(data: bytes, limits: Limits) -> None:
    """Check that the file holds everything its first directory refers to, and count the bytes of the tags.

    Raises Rejected (TRUNCATED, METADATA_TOO_LARGE).
    """
    metadata, needed, integers = Metadata("TIFF", limits), 8, {}
    try:
        for tag, kind, count, start in _entries(data):
            size = count * _SIZES.get(kind, 0)
            metadata.add(min(size, len(data)))
            needed = max(needed, start + size)
            if tag in (*_OFFSETS_AND_LENGTHS, *_OFFSETS_AND_LENGTHS.values()) and kind in _INTEGERS:
                integers[tag] = _integers(data, kind, count, start)
    except (struct.error, ValueError):
        raise Rejected(Reason.TRUNCATED, f"TIFF of {len(data):,} bytes without its whole directory") from None
    for offsets, lengths in _OFFSETS_AND_LENGTHS.items():
        if offsets in integers and lengths in integers:
            count = min(len(integers[offsets]), len(integers[lengths]))
            ends = integers[offsets][:count].astype(np.uint64) + integers[lengths][:count]
            needed = max(needed, int(ends.max(initial=0)))
    if len(data) < needed:
        raise Rejected(Reason.TRUNCATED, f"TIFF of {len(data):,} bytes, its directory refers to {needed:,} bytes")


def check_exif(block: bytes, metadata: Metadata) -> None:
    """Count the bytes of an EXIF block's tags, each on its own: decoders read the bytes that tags share once for each.

    Raises Rejected (METADATA_TOO_LARGE). An unreadable block is ignored.
    """
    while block.startswith(b"Exif\0\0"):
        block = block[6:]
    try:
        for _, kind, count, _ in _entries(block):
            metadata.add(min(count * _SIZES.get(kind, 0), len(block)))
    except struct.error:
        pass


def _entries(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(tag, type, number of values, their position) of the first directory. Raises struct.error if it is incomplete."""
    order = "<" if data.startswith(b"I") else ">"
    big = data[2:4] in (b"+\0", b"\0+")  # BigTIFF has wider words; decoders accept it as EXIF
    start, number, entry, word, step = (8, "Q", "HHQ", "Q", 20) if big else (4, "H", "HHI", "I", 12)
    (directory,) = struct.unpack_from(order + word, data, start)
    (count,) = struct.unpack_from(order + number, data, directory)
    first = directory + struct.calcsize(order + number)
    end = first + step * count
    for entry_start in range(first, end, step):
        tag, kind, values = struct.unpack_from(order + entry, data, entry_start)
        start = entry_start + struct.calcsize(order + entry)
        if values * _SIZES.get(kind, 0) > struct.calcsize(order + word):  # fewer bytes stand in place of their offset
            (start,) = struct.unpack_from(order + word, data, start)
        yield tag, kind, values, start
    struct.unpack_from(order + word, data, end)  # the offset of the next directory


def _integers(data: bytes, kind: int, count: int, start: int) -> np.ndarray:
    """The values of a tag that holds whole numbers. Raises ValueError if the data ends before them."""
    order = "<" if data.startswith(b"I") else ">"
    return np.frombuffer(data, order + _INTEGERS[kind], count, start)
