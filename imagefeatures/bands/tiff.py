"""The samples of a TIFF as an array, as they are stored.

Without compression they are read in place. Compressed strips and tiles are unpacked by libtiff, which Pillow has: it
gets them as a picture of bytes in one grey channel, so that it neither chooses nor converts a colour. Byte order and
predictor are applied here.
"""

from __future__ import annotations

import io
import struct

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
    made = np.empty((height, width, pages.count), pages.dtype)
    each = pages.layouts[0].samples
    for index, layout in enumerate(pages.layouts):
        _read_page(data, layout, stored, made[..., index * each : (index + 1) * each])
    return made


def _read_page(data: bytes, layout: Layout, stored: np.dtype, made: np.ndarray) -> None:
    """Write a page into made [height, width, samples]. stored: the type in the file."""
    (columns, rows), planes = layout.part, layout.samples if layout.planes_apart else 1
    across, down = -(-layout.width // columns), -(-layout.height // rows)
    for plane in range(planes):
        into = made[..., plane : plane + 1] if layout.planes_apart else made
        first = plane * across * down
        parts = _unpacked(data, layout, range(first, first + across * down))
        for part, unpacked in enumerate(parts):
            row, column = part // across * rows, part % across * columns
            values = _values(unpacked, layout, stored, (columns, into.shape[2]))
            place = into[row : row + rows, column : column + columns]
            place[:] = values[: place.shape[0], : place.shape[1]]


def _unpacked(data: bytes, layout: Layout, parts: range) -> list[np.ndarray]:
    """The bytes of strips or tiles: uint8 [rows, row_bytes] each; the last strip of a picture may have fewer rows."""
    rows = layout.part[1]
    heights = [rows] * len(parts)
    if not layout.tiled:
        heights[-1] = layout.height - rows * (len(parts) - 1)
    if layout.compression == RAW:
        return [
            np.frombuffer(data, np.uint8, height * layout.row_bytes, int(layout.offsets[part])).reshape(height, -1)
            for part, height in zip(parts, heights, strict=True)
        ]
    found = _unpacked_by_libtiff(data, layout, parts, sum(heights))
    return [found[index * rows : index * rows + height] for index, height in enumerate(heights)]


def _unpacked_by_libtiff(data: bytes, layout: Layout, parts: range, height: int) -> np.ndarray:
    """The parts below one another: uint8 [height, row_bytes]."""
    offsets, lengths = layout.offsets, layout.lengths
    packed = [data[int(offsets[part]) : int(offsets[part]) + int(lengths[part])] for part in parts]
    file = _as_grey(packed, layout, (height, layout.part[1]))
    with Image.open(io.BytesIO(file), formats=("TIFF",)) as image:
        found = np.asarray(image)
    if image.mode != "L" or found.shape != (height, layout.row_bytes):
        detail = (
            f"the decoder gave {image.mode} of {found.shape}, and {height} rows of {layout.row_bytes} bytes are stored"
        )
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
