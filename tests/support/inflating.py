"""PNGs of random rows and filters, whole, cut and mutated, in which compiled code is compared with Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from itertools import pairwise

import numpy as np
from PIL import Image

from imagefeatures import inflated
from support.directly import compared, without
from support.photos import encoded, jpeg, picture, png_file

PHOTO = Image.open(io.BytesIO(jpeg(3, 333, 251)))
FILTERS = {"none": 0, "sub": 1, "up": 2, "average": 3, "Paeth": 4}


def by_pillow(data: bytes) -> object:
    return without(inflated, data)


def png(rows: np.ndarray, width: int, channels: int, *, pieces: int = 1, stream: bytes | None = None) -> bytes:
    """A file of these rows, uint8 [height, 1 + width * channels], whose pixels are cut into so many chunks."""
    header = struct.pack(">IIBBBBB", width, len(rows), 8, {3: 2, 4: 6}[channels], 0, 0, 0)
    stream = zlib.compress(rows.tobytes()) if stream is None else stream
    cuts = [len(stream) * at // pieces for at in range(pieces + 1)]
    return png_file((b"IHDR", header), *((b"IDAT", stream[a:b]) for a, b in pairwise(cuts)), (b"IEND", b""))


def noise(seed: int, height: int, width: int, channels: int, kinds: list[int]) -> np.ndarray:
    chance = np.random.default_rng(seed)
    rows = chance.integers(0, 256, (height, 1 + width * channels), np.uint8)
    rows[:, 0] = chance.choice(kinds, height)
    return rows


def compare(count: int, seed: int = 4) -> set[bool]:
    """Compare so many mutated files. Returns whether some passed, and whether some were rejected."""
    kinds = list(FILTERS.values())
    files = [png(noise(n, 36, 48, 3 + n % 2, kinds), 48, 3 + n % 2, pieces=1 + n) for n in range(4)]
    files += [encoded(Image.fromarray(picture(48, 36)), "PNG"), encoded(PHOTO.convert("RGBA").resize((40, 30)), "PNG")]
    return compared(inflated, files, 60, count, seed)
