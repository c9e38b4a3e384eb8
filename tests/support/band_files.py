"""Files of pictures of bands: .npy with any header, TIFFs of several pages, and the random values in them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from support.tiff_files import BLACK_IS_ZERO, LONG, SHORT

RAW, DEFLATE = 1, 8


def values(shape: Sequence[int], dtype: str, seed: int = 0) -> np.ndarray:
    """Random values over the whole range of whole numbers; floats around 0."""
    random = np.random.default_rng(seed)
    if dtype == "float32":
        return random.normal(0, 100, shape).astype(np.float32)
    return random.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def npy(array: np.ndarray) -> bytes:
    """As NumPy writes it."""
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


def npy_of(header: str | bytes, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """An .npy file with this text as its header."""
    text = header if isinstance(header, bytes) else header.encode("latin-1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


def tiff_pages(
    pages: Sequence[np.ndarray], order: str = "<", compression: int = RAW, subfile: Sequence[int] = (), loop: int = 0
) -> bytes:
    """A TIFF of several pages, a strip each. pages: [height, width, samples]. subfile: of each page, 0 by default.

    loop: the number of the page to which the last one leads back; 0: it is the last one.
    """
    file = bytearray({"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 0))
    link, directories = 4, []
    for index, page in enumerate(pages):
        height, width, samples = page.shape
        strip = page.astype(page.dtype.newbyteorder(order)).tobytes()
        strip = zlib.compress(strip) if compression == DEFLATE else strip
        strip_at = len(file)
        file += strip + bytes(len(strip) % 2)
        bits_at = len(file)
        file += struct.pack(f"{order}{samples}H", *[8 * page.itemsize] * samples) + bytes(4 * (samples % 2))
        formats_at = len(file)
        file += struct.pack(f"{order}{samples}H", *[3 if page.dtype.kind == "f" else 1] * samples)
        file += bytes(len(file) % 2)
        tags = [
            (254, LONG, 1, subfile[index] if subfile else 0),
            (256, LONG, 1, width),
            (257, LONG, 1, height),
            (258, SHORT, samples, bits_at),
            (259, LONG, 1, compression),
            (262, LONG, 1, BLACK_IS_ZERO),
            (273, LONG, 1, strip_at),
            (277, LONG, 1, samples),
            (278, LONG, 1, height),
            (279, LONG, 1, len(strip)),
            (339, SHORT, samples, formats_at),
        ]
        directories.append(len(file))
        struct.pack_into(order + "I", file, link, len(file))
        file += struct.pack(order + "H", len(tags))
        for tag, kind, count, value in tags:
            if kind == SHORT and count <= 2:  # in the directory itself
                file += struct.pack(order + "HHI", tag, kind, count) + file[value : value + 4]
            else:
                file += struct.pack(order + "HHII", tag, kind, count, value)
        link = len(file)
        file += bytes(4)
    if loop:
        struct.pack_into(order + "I", file, link, directories[loop - 1])
    return bytes(file)
