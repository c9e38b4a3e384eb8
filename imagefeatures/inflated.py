"""PNGs of 8 bits in three or four channels: inflated by zlib, and their rows' filters undone by compiled code.

Pillow inflates a row at a time and undoes its filter byte by byte, which takes longer than inflating. Pillow opens the
file as before, and decodes, or refuses, what is not taken here: so the reasons of a rejection are Pillow's.
"""

from __future__ import annotations

import ctypes
import io
import struct
import zlib
from contextlib import suppress
from functools import lru_cache

import numpy as np
import pyarrow as pa
from PIL import Image

from imagefeatures.bicubic import compiled
from imagefeatures.formats import png

CHANNELS = {"RGB": 3, "RGBA": 4}
"""Modes of Pillow whose pixels take four bytes in memory, and how many a PNG has of them."""

MOST_BYTES = 1 << 26
"""Of rows that are inflated whole, beside the picture. Pillow takes a larger picture row by row."""

_KINDS = 5
"""There are so many filters of a row."""


def prove() -> None:
    """Compare the compiled code with Pillow, before an image's time runs."""
    _is_pillows()


def decoded(data: bytes, image: Image.Image) -> Image.Image | None:
    """The picture in a PNG file, as Pillow decodes it; None where Pillow must decode it, or refuse it.

    data: the file. image: as Pillow has opened it, not decoded.
    """
    return _decoded(data, image) if image.mode in CHANNELS and _is_pillows() else None


@lru_cache
def _is_pillows() -> bool:
    """Whether the compiled code is installed, and gives Pillow's pixels, and none of a file that is cut."""
    if not hasattr(compiled, "unfilter"):  # a build of an older version has none
        return False
    for mode in CHANNELS:
        data = sample(mode, width=23)
        image = Image.open(io.BytesIO(data), formats=["PNG"])
        found = _decoded(data, image)
        if found is None or not np.array_equal(np.asarray(found), np.asarray(image)):
            return False
        if _decoded(data[: len(data) // 2], image) is not None:
            return False
    return True


def _decoded(data: bytes, image: Image.Image) -> Image.Image | None:
    shape = (image.height, image.width, CHANNELS[image.mode])
    size = image.height * (1 + image.width * shape[2])
    if size > MOST_BYTES or compiled is None:
        return None
    with suppress(zlib.error, ValueError, MemoryError):  # ValueError: the picture's pixels are in several blocks
        if rows := _rows(data, shape[2], size):
            picture = Image.new(image.mode, image.size)
            picture.info = image.info
            memory = pa.array(picture).buffers()[-1]
            if compiled.unfilter(rows, shape, (ctypes.c_char * memory.size).from_address(memory.address)):
                return picture
    return None


def _rows(data: bytes, channels: int, size: int) -> bytes | None:
    """The rows of the picture, with their filters; None where the stream is not whole, or not of this size."""
    stream = png.plain_stream(data, channels)
    if stream is None:
        return None
    inflating = zlib.decompressobj()
    rows = inflating.decompress(stream, size + 1)
    return rows if len(rows) == size and inflating.eof and not inflating.unused_data else None


def sample(mode: str, width: int) -> bytes:
    """A PNG of noise in which each filter follows each: whatever bytes stand there are a picture."""
    kinds = [kind for first in range(_KINDS) for second in range(_KINDS) for kind in (first, second)]
    height = len(kinds)
    rows = np.random.default_rng(0).integers(0, 256, (height, 1 + width * CHANNELS[mode]), np.uint8)
    rows[:, 0] = kinds
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if mode == "RGB" else 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
