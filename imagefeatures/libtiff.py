"""What the libtiff that Pillow has loaded reports while Pillow decodes a TIFF, and what it does not report.

At a fax code that there is not, libtiff reports it, leaves the rest of the row out, and goes on. Pillow hears of
nothing, and passes a picture with other pixels. Where a strip ends before its last row, nobody hears of it: the rows
that are missing are those that stood in Pillow's memory, of the strip before, or such as no code says.
"""

from __future__ import annotations

import ctypes
import io
import struct
import threading
from typing import Any

import numpy as np
from PIL import Image, _imaging

from imagefeatures.errors import Rejected
from imagefeatures.formats.tiff_codes import FAX, REVERSED, rows_of_fax_3
from imagefeatures.formats.tiff_layout import Layout, read_layout
from imagefeatures.reasons import Reason

_FAX = (b"Fax3Decode", b"Fax4Decode")
"""How the names of the functions begin whose reports are faults of the pixels. Others report tags, or stop Pillow."""

_FAX_3, _FAX_4 = 3, 4
_OFFSETS, _ROWS, _LENGTHS = 273, 278, 279
_ROWS_TOGETHER = 2**12  # of strips that are decoded together: with what stands before each they take twice as many


def load(image: Image.Image) -> None:
    """Decode a TIFF. Raises Rejected (CORRUPT) when a code of fax cannot be read, and what Pillow raises."""
    if _set_handler is None:
        image.load()
        return
    _heard.codes = 0
    previous = _set_handler(_handler)
    try:
        image.load()
    finally:
        _set_handler(previous)
    if _heard.codes:
        count = f"{_heard.codes:,} code{'s' * (_heard.codes != 1)}"
        raise Rejected(Reason.CORRUPT, f"TIFF of fax with {count} that cannot be read")


def check_rows(data: bytes) -> None:
    """Check that each strip or tile of fax 3 and 4 has all its rows. Raises Rejected (TRUNCATED).

    Nothing of other TIFFs: of CCITT RLE Pillow hears that a row is missing.
    """
    layout = read_layout(data)
    if layout is None or layout.compression not in (_FAX_3, _FAX_4):
        return
    by_rows: dict[int, list[tuple[int, int, int]]] = {}
    places = zip(range(layout.parts), layout.offsets.tolist(), layout.lengths.tolist(), strict=False)
    for part, start, length in places:
        by_rows.setdefault(layout.shown(part)[1], []).append((part, start, start + length))
    for rows, found in by_rows.items():
        count = max(_ROWS_TOGETHER // rows, 1)
        for first in range(0, len(found), count):
            group = found[first : first + count]
            lost = _lost([data[start:end] for _, start, end in group], layout, rows)
            if lost is not None:
                what, name = "tile" if layout.tiled else "strip", FAX[layout.compression]
                detail = f"TIFF whose {what} {group[lost][0]} of {name} ends before its last row"
                raise Rejected(Reason.TRUNCATED, detail)


def _lost(strips: list[bytes], layout: Layout, rows: int) -> int | None:
    """The first strip that does not have so many rows; None without one."""
    if layout.compression == _FAX_4:
        return _left(strips, layout, rows + 1)
    for index, strip in enumerate(strips):
        found = rows_of_fax_3(strip, layout)
        if found is not None and found < rows:  # libtiff reads rows without marks too, and nobody counts them
            return index
    return None


def _left(strips: list[bytes], layout: Layout, rows: int) -> int | None:
    """The first strip of fax 4 that leaves its last row as it was; None without one, or where codes cannot be read.

    So each is decoded behind one that ends with a black row: where its last row has become black, and behind a white
    one white, nothing was decoded. rows: one more than it shows, since the first that is missing is painted white.
    """
    left = np.ones(len(strips), bool)
    try:
        for white in (False, True):
            if left.any():
                left &= _are_left(strips, layout, rows, white)
    except (Rejected, OSError, SyntaxError, ValueError, MemoryError):
        half = len(strips) // 2
        if not half:
            return None
        found = _left(strips[:half], layout, rows)
        later = _left(strips[half:], layout, rows) if found is None else None
        return found if later is None else half + later
    return int(left.argmax()) if left.any() else None


def _are_left(strips: list[bytes], layout: Layout, rows: int, white: bool) -> np.ndarray:
    """Of each strip, whether its last row has the one colour of the row that stood there before: bool [strips].

    white: that colour, else black. Raises what Pillow raises, and Rejected for codes that cannot be read.
    """
    width = layout.part[0]
    before = Image.new("1", (width, rows), 1)
    before.paste(int(white), (0, rows - 1, width, rows))
    sink = io.BytesIO()
    before.save(sink, "TIFF", compression="group4", tiffinfo={_ROWS: rows})
    with Image.open(io.BytesIO(sink.getvalue()), formats=("TIFF",)) as image:
        (start,), (length,) = image.tag_v2[_OFFSETS], image.tag_v2[_LENGTHS]  # type: ignore[attr-defined]
    first = sink.getvalue()[start : start + length]
    if layout.reversed_bits:
        first = first.translate(REVERSED)
    file = _as_strips([part for strip in strips for part in (first, strip)], layout, rows)
    with Image.open(io.BytesIO(file), formats=("TIFF",)) as image:
        load(image)
        last_rows = (image.crop((0, row, width, row + 1)) for row in range(2 * rows - 1, image.height, 2 * rows))
        return np.array([row.getextrema() == (255 * white, 255 * white) for row in last_rows])


def _as_strips(strips: list[bytes], layout: Layout, rows: int) -> bytes:
    """A TIFF of fax 4 whose strips, two or more, these are, as wide as those of the layout, each of so many rows."""
    count, starts = len(strips), 8 + np.cumsum([0, *map(len, strips)])
    arrays = b"".join(struct.pack(f"<{count}I", *values) for values in (starts[:-1], map(len, strips)))
    at = int(starts[-1])
    tags = {
        256: (1, layout.part[0]),
        257: (1, count * rows),
        258: (1, 1),
        259: (1, _FAX_4),
        262: (1, 1),
        266: (1, 1 + layout.reversed_bits),
        _OFFSETS: (count, at),
        277: (1, 1),
        _ROWS: (1, rows),
        _LENGTHS: (count, at + 4 * count),
    }
    directory = b"".join(struct.pack("<HHII", tag, 4, *value) for tag, value in tags.items())
    head = struct.pack("<2sHI", b"II", 42, at + len(arrays))
    return b"".join([head, *strips, arrays, struct.pack("<H", len(tags)), directory, bytes(4)])


class _Heard(threading.local):
    """How many codes libtiff could not read in this thread."""

    codes = 0


_heard = _Heard()


def _hear(function: bytes | None, _form: bytes | None, _values: int | None) -> None:
    if function and function.startswith(_FAX):
        _heard.codes += 1


def _find_setter() -> Any:
    """libtiff's function that takes another handler of errors and returns the one before; None where there is none."""
    try:
        found = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler  # it is loaded: nothing is looked for
    except (OSError, AttributeError):
        return None
    found.argtypes, found.restype = [ctypes.c_void_p], ctypes.c_void_p
    return found


# Now, since the decode process imports this module before it locks itself in.
_callback = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(_hear)
_handler = ctypes.cast(_callback, ctypes.c_void_p)
_set_handler = _find_setter()
