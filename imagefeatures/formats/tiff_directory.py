"""TIFF: reading a directory of tags, whose values stand in the directory or elsewhere in the file."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Bytes of a value, by its type."""

BYTE, RATIONAL = 1, 5
_INTEGERS = {BYTE: "u1", 3: "u2", 4: "u4", 13: "u4"}  # NumPy's names of the types of whole numbers


def order_of(data: bytes) -> str:
    """The byte order, as NumPy and struct name it."""
    return "<" if data.startswith(b"I") else ">"


def entries(data: bytes, directory: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """(tag, type, number of values, their position) of one directory, the first by default.

    Raises struct.error if it is incomplete.
    """
    order = order_of(data)
    big = data[2:4] in (b"+\0", b"\0+")  # BigTIFF has wider words; decoders accept it as EXIF
    start, number, entry, word, step = (8, "Q", "HHQ", "Q", 20) if big else (4, "H", "HHI", "I", 12)
    if directory is None:
        (directory,) = struct.unpack_from(order + word, data, start)
    (count,) = struct.unpack_from(order + number, data, directory)
    first = directory + struct.calcsize(order + number)
    end = first + step * count
    for entry_start in range(first, end, step):
        tag, kind, values = struct.unpack_from(order + entry, data, entry_start)
        start = entry_start + struct.calcsize(order + entry)
        if values * SIZES.get(kind, 0) > struct.calcsize(order + word):  # fewer bytes stand in place of their offset
            (start,) = struct.unpack_from(order + word, data, start)
        yield tag, kind, values, start
    struct.unpack_from(order + word, data, end)  # the offset of the next directory


def next_directory(data: bytes, directory: int | None) -> int:
    """The position of the directory after this one, 0 after the last; None: of the first. Of a TIFF, not of a BigTIFF.

    Raises struct.error where the data end earlier.
    """
    order, place = order_of(data), 4
    if directory is not None:
        (count,) = struct.unpack_from(order + "H", data, directory)
        place = directory + 2 + 12 * count
    return int(struct.unpack_from(order + "I", data, place)[0])


def is_whole_numbers(kind: int) -> bool:
    """Whether values of this type are whole numbers of more than a byte, as those are that describe the pixels."""
    return kind in _INTEGERS and kind != BYTE


def integers(data: bytes, kind: int, count: int, start: int) -> np.ndarray:
    """The values of a tag that holds whole numbers. Raises ValueError if the data ends before them."""
    return np.frombuffer(data, order_of(data) + _INTEGERS[kind], count, start)


def rationals(data: bytes, count: int, start: int) -> list[float]:
    """The values of a tag that holds fractions; 0 for a fraction of 0. Raises ValueError if the data ends earlier."""
    pairs = np.frombuffer(data, order_of(data) + "u4", 2 * count, start).reshape(-1, 2).tolist()
    return [above / below if below else 0.0 for above, below in pairs]
