"""PNG and BMP files in every mode: those that Spark's source `image` and ours read alike, and those that differ."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from support.bmp_files import Bmp, every_bmp
from support.photos import encoded, jpeg, picture, png_chunk, png_of, turned

GREY, COLOURS, PALETTE, GREY_ALPHA, COLOURS_ALPHA = 0, 2, 3, 4, 6
"""PNG's colour types."""

SAMPLES = {GREY: 1, COLOURS: 3, PALETTE: 1, GREY_ALPHA: 2, COLOURS_ALPHA: 4}

ALIKE = [
    *((GREY, depth, {}) for depth in (1, 2, 4, 8, 16)),
    *((GREY, depth, {b"tRNS": struct.pack(">H", 1)}) for depth in (1, 2, 4, 8, 16)),
    (COLOURS, 8, {}),
    (COLOURS, 8, {b"tRNS": struct.pack(">HHH", 1, 2, 3)}),
    (COLOURS, 8, {b"gAMA": struct.pack(">I", 100_000)}),
    *((PALETTE, depth, {}) for depth in (1, 2, 4, 8)),
    *((PALETTE, depth, {b"tRNS": bytes(alpha)}) for depth in (1, 2, 4, 8) for alpha in ([0, 90], [0, 255], [255, 255])),
    (GREY_ALPHA, 8, {}),
    (COLOURS_ALPHA, 8, {}),
]
"""PNGs that both read alike: colour type, bits of a sample, and chunks before the pixels."""


def png(colour: int, depth: int, chunks: dict[bytes, bytes], seed: int = 0) -> bytes:
    """A PNG of noise: its size, its rows' filters and its palette differ for each seed."""
    random = np.random.default_rng(seed)
    width, height = 5 + seed * 7 % 31, 4 + seed * 5 % 23
    row = (width * SAMPLES[colour] * depth + 7) // 8
    rows = b"".join(bytes([random.integers(5)]) + random.bytes(row) for _ in range(height))
    if colour == PALETTE:
        chunks = {b"PLTE": random.bytes(3 * 2**depth)} | chunks
    data = png_of(width, height, zlib.compress(rows), depth, colour)
    start = data.index(b"IDAT") - 4
    return data[:start] + b"".join(png_chunk(*chunk) for chunk in chunks.items()) + data[start:]


def alike(count: int) -> dict[str, bytes]:
    """So many files that both read alike, by name: first BMPs of all kinds, the rest PNGs of all kinds."""
    files = {f"{number:03d}.bmp": bmp.bytes() for number, bmp in enumerate(filter(_both_read, every_bmp()))}
    for mode in ("1", "L", "RGB"):  # by names that Java writes in its own way
        files[f"pil 👩\u200d🔬\u00a0{mode}.bmp"] = encoded(Image.fromarray(picture()).convert(mode), "BMP")
    kinds = 0
    while len(files) < count:
        files[f"{kinds:03d}.png"] = png(*ALIKE[kinds % len(ALIKE)], seed=kinds)
        kinds += 1
    assert kinds > len(ALIKE)
    return files


def different() -> Iterator[tuple[str, bytes, str]]:
    """Files that the two read otherwise: name, bytes, and how."""
    photo = Image.fromarray(picture())
    yield "colours of 16 bits.png", png(COLOURS, 16, {}), "1 level"
    yield "colours and alpha of 16 bits.png", png(COLOURS_ALPHA, 16, {}), "1 level"
    yield "grey and alpha of 16 bits.png", png(GREY_ALPHA, 16, {}), "pixels"
    yield "two bytes a pixel.bmp", next(b for b in every_bmp() if (b.bits, b.header) == (16, 40)).bytes(), "1 level"
    yield "OS2.bmp", next(b for b in every_bmp() if (b.bits, b.header) == (24, 64)).bytes(), "ours alone"
    yield "CMYK.jpg", encoded(photo.convert("CMYK")), "pixels"
    yield "cut.jpg", jpeg()[:-300], "stock alone"
    yield "turned.tif", encoded(photo, "TIFF", tiffinfo={274: 6}), "shape"
    yield "photo.webp", encoded(photo, "WEBP"), "same reason: Java has no decoder"
    yield "turned.jpg", encoded(photo, exif=turned(6)), "equal"


def _both_read(bmp: Bmp) -> bool:
    """Whether the BMP is of a kind that both read alike: no OS/2 of 64 bytes, 2 or 16 bits, runs, masks, few greys."""
    if bmp.header == 64 or bmp.bits in (2, 16) or bmp.masks != (0, 0, 0, 0) or bmp.data is not None:
        return False
    greys = bmp.palette is not None and (bmp.palette == bmp.palette[:, :1]).all()
    return not greys and bmp.compression == 0
