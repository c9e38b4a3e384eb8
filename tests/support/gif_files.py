"""GIF files of one image, written from the definition of the format: offsets, palettes, colour codes of choice."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Gif:
    """A GIF file to be written.

    indices: of the image [height, width]. palette, own: of the screen and of the image, uint8 [n, 3], where n is a
    power of two. corner: of the image on its screen. codes: how many pixels are written, all by default.
    """

    indices: np.ndarray
    palette: np.ndarray | None = None
    own: np.ndarray | None = None
    screen: tuple[int, int] | None = None
    corner: tuple[int, int] = (0, 0)
    background: int = 0
    transparent: int | None = None
    interlaced: bool = False
    codes: int | None = None

    def bytes(self) -> bytes:
        """The whole file."""
        height, width = self.indices.shape
        screen = self.screen or (width, height)
        data = b"GIF89a" + struct.pack("<HH", *screen) + bytes([_flags(self.palette), self.background, 0])
        data += b"" if self.palette is None else self.palette.astype(np.uint8).tobytes()
        if self.transparent is not None:
            data += b"!\xf9\4" + bytes([1, 0, 0, self.transparent, 0])
        flags = _flags(self.own) | 0x40 * self.interlaced
        data += b"," + struct.pack("<HHHH", *self.corner, width, height) + bytes([flags])
        data += b"" if self.own is None else self.own.astype(np.uint8).tobytes()
        rows = range(height)
        if self.interlaced:
            rows = [*range(0, height, 8), *range(4, height, 8), *range(2, height, 4), *range(1, height, 2)]
        return data + _lzw(self.indices[list(rows)].ravel()[: self.codes]) + b";"


def _flags(palette: np.ndarray | None) -> int:
    return 0 if palette is None else 0x80 | int(np.log2(len(palette))) - 1


def _lzw(indices: np.ndarray) -> bytes:
    """Codes of 9 bits alone: the table is cleared before it needs longer ones."""
    codes: list[int] = []
    for start in range(0, len(indices), 200):
        codes += [256, *indices[start : start + 200].tolist()]
    bits = (np.array([*codes, 257])[:, None] >> np.arange(9) & 1).astype(np.uint8)
    packed = np.packbits(bits, bitorder="little").tobytes()
    blocks = [packed[start : start + 255] for start in range(0, len(packed), 255)]
    return b"\x08" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
