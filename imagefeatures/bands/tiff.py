"""The samples of a TIFF as an array, as they are stored.

Without compression they are read in place. Compressed strips and tiles are unpacked by libtiff, which Pillow has: it
gets them as a picture of bytes in one grey channel, so that it neither chooses nor converts a colour. Byte order and
predictor are applied here.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable

import numpy as np
from PIL import Image

from imagefeatures.errors import Rejected
from imagefeatures.formats.tiff_bands import FLOATING_POINT, Pages
from imagefeatures.formats.tiff_directory import order_of
from imagefeatures.formats.tiff_layout import PREDICTOR, RAW, Layout
from imagefeatures.reasons import Reason

_LONG = 4


def samples(data: bytes, pages: Pages) -> np.ndarray:
    """uint8, uint16 or float32 [height, width, bands], in the machine's byte order. Raises Rejected, or an OSError."""
    width, height = pages.size
    stored = np.dtype(pages.dtype).newbyteorder("<" if order_of(data) == "<" else ">")
    each = pages.layouts[0].samples
    made = np.empty((height, width, pages.count), pages.dtype)
    if each == 1 or pages.layouts[0].planes_apart:  # a band is in one piece in the file, and then in memory
        made = np.moveaxis(np.empty((pages.count, height, width), pages.dtype), 0, 2)
    for index, layout in enumerate(pages.layouts):
        _read_page(data, layout, stored, made[..., index * each : (index + 1) * each])
    return made


def _read_page(data: bytes, layout: Layout, stored: np.dtype, made: np.ndarray) -> None:
    """Write a page into made [height, width, samples]. stored: the type in the file."""
    (columns, rows), planes = layout.part, layout.samples if layout.planes_apart else 1
    across, down = -(-layout.width // columns), -(-layout.height // rows)
    offsets, lengths = layout.offsets, layout.lengths
    for plane in range(planes):
        into = made[..., plane : plane + 1] if layout.planes_apart else made
        parts = slice(plane * across * down, (plane + 1) * across * down)
        heights = [rows] * (across * down)
        if not layout.tiled:
            heights[-1] = layout.height - rows * (down - 1)
        if layout.compression == RAW:
            sizes = [height * layout.row_bytes for height in heights]
            places = zip(sizes, offsets[parts].tolist(), strict=True)
            unpacked: Iterable[np.ndarray] = (np.frombuffer(data, np.uint8, size, start) for size, start in places)
        else:
            places = zip(offsets[parts].tolist(), lengths[parts].tolist(), strict=True)
            packed = [data[start : start + length] for start, length in places]
            unpacked = np.split(_unpacked(packed, layout, sum(heights)), np.cumsum(heights)[:-1])
        for part, (values, height) in enumerate(zip(unpacked, heights, strict=True)):
            row, column = part // across * rows, part % across * columns
            place = into[row : row + rows, column : column + columns]
            found = _values(values.reshape(height, -1), layout, stored, (columns, into.shape[2]))
            place[:] = found[: place.shape[0], : place.shape[1]]


def _unpacked(packed: list[bytes], layout: Layout, height: int) -> np.ndarray:
    """Strips or tiles below one another, by libtiff: uint8 [height, row_bytes]."""
    file = _as_grey(packed, layout, (height, layout.part[1]))
    with Image.open(io.BytesIO(file), formats=("TIFF",)) as image:
        found = np.asarray(image)
    if image.mode != "L" or found.shape != (height, layout.row_bytes):
        stored = f"{height} rows of {layout.row_bytes} bytes are stored"
        detail = f"the decoder gave {image.mode} of {found.shape}, and {stored}"
        raise Rejected(Reason.CORRUPT, detail)
    return found


def _as_grey(packed: list[bytes], layout: Layout, sides: tuple[int, int]) -> bytes:
    """A TIFF of one grey channel of 8 bits whose strips are these. sides: its height, and the rows of a strip."""
    places = np.cumsum([8, *map(len, packed)])
    count = len(packed)
    arrays = struct.pack(f"<{2 * count}I", *places[:-1].tolist(), *map(len, packed))
    end = int(places[-1])
    arrays_at = end + end % 2
    # A value that fits stands in the directory itself.
    offsets, lengths = (arrays_at, arrays_at + 4 * count) if count > 1 else struct.unpack("<2I", arrays)
    tags = [
        (256, 1, layout.row_bytes),
        (257, 1, sides[0]),
        (258, 1, 8),
        (259, 1, layout.compression),
        (262, 1, 1),
        (273, count, offsets),
        (277, 1, 1),
        (278, 1, sides[1]),
        (279, count, lengths),
    ]
    directory_at = arrays_at + len(arrays)
    directory = b"".join(struct.pack("<HHII", tag, _LONG, number, value) for tag, number, value in tags)
    body = b"".join([*packed, b"\0" * (end % 2), arrays])
    return struct.pack("<2sHI", b"II", 42, directory_at) + body + struct.pack("<H", len(tags)) + directory + b"\0" * 4


def _values(unpacked: np.ndarray, layout: Layout, stored: np.dtype, sides: tuple[int, int]) -> np.ndarray:
    """The values of a strip or tile: [rows, columns, samples]. unpacked: its bytes. sides: columns and samples."""
    columns, count = sides
    rows = len(unpacked)
    predictor = layout.one(PREDICTOR, 1)
    if predictor == FLOATING_POINT:
        # Of each row the first bytes of all values come first; each byte is the difference to that one pixel before.
        summed = np.cumsum(unpacked.reshape(rows, -1, count), axis=1, dtype=np.uint8)
        by_value = summed.reshape(rows, stored.itemsize, columns * count).transpose(0, 2, 1)
        return np.ascontiguousarray(by_value).view(">f4").reshape(rows, columns, count)
    values = np.ascontiguousarray(unpacked).view(stored).reshape(rows, columns, count)
    return np.cumsum(values, axis=1, dtype=stored.newbyteorder("=")) if predictor == 2 else values
