"""BMP files of every kind, written from the definition of the format, with the RGB pixels that they hold."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

CORE, INFO, V2, V3, OS2, V4, V5 = 12, 40, 52, 56, 64, 108, 124
"""Bytes of the headers, from OS/2 1.x to Windows 98."""

PLAIN, RLE8, RLE4, MASKS = 0, 1, 2, 3


@dataclass(frozen=True)
class Bmp:
    """A BMP file to be written.

    pixels: whole numbers [height, width], as they are stored: indices, or words of 16, 24 or 32 bits. masks: of red,
    green, blue and alpha. palette: uint8 [n, 3], RGB. colours: what the header says of the palette's length.
    """

    pixels: np.ndarray
    bits: int
    header: int = INFO
    compression: int = PLAIN
    masks: tuple[int, int, int, int] = (0, 0, 0, 0)
    palette: np.ndarray | None = None
    top_down: bool = False
    colours: int = 0
    data: bytes | None = None

    def bytes(self) -> bytes:
        """The whole file."""
        height, width = self.pixels.shape
        if self.header == CORE:
            head = struct.pack("<IHHHH", CORE, width, height, 1, self.bits)
        else:
            signed = -height if self.top_down else height
            head = struct.pack(
                "<IiiHHIIiiII", self.header, width, signed, 1, self.bits, self.compression, 0, 0, 0, self.colours, 0
            )
            if self.header == INFO and self.compression == MASKS:
                head += struct.pack("<III", *self.masks[:3])
            elif self.header in (V2, V3, V4, V5):
                head += struct.pack("<IIII", *self.masks)[: self.header - INFO]
            head = head.ljust(self.header, b"\0")
        colours = b""
        if self.palette is not None:
            spare = b"" if self.header == CORE else b"\0"
            colours = b"".join(bytes(colour[::-1].tolist()) + spare for colour in self.palette)
        data = self._rows() if self.data is None else self.data
        start = 14 + len(head) + len(colours)
        return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + colours + data

    def _rows(self) -> bytes:
        rows = self.pixels if self.top_down else self.pixels[::-1]
        if self.compression == RLE8:
            return b"".join(_runs(row, 1) for row in rows)[:-2] + b"\0\1"
        if self.compression == RLE4:
            return b"".join(_runs(row, 2) for row in rows)[:-2] + b"\0\1"
        packed = []
        for row in rows.astype(np.int64):
            if self.bits >= 16:
                data = b"".join(int(word).to_bytes(self.bits // 8, "little") for word in row)
            else:
                bits = (row[:, None] >> np.arange(self.bits - 1, -1, -1) & 1).astype(np.uint8)
                data = np.packbits(bits).tobytes()
            packed.append(data + bytes(-len(data) % 4))
        return b"".join(packed)

    def rgb(self) -> np.ndarray:
        """The pixels by their definition: uint8 [height, width, 3]."""
        if self.palette is not None:
            return self.palette[self.pixels].astype(np.uint8)
        masks = self.masks[:3]
        if self.compression == PLAIN:
            masks = (0x7C00, 0x3E0, 0x1F) if self.bits == 16 else (0xFF0000, 0xFF00, 0xFF)
        channels = []
        for mask in masks:
            lowest = (mask & -mask).bit_length() - 1
            channels.append(((self.pixels & mask) >> lowest) * 255 // (mask >> lowest))
        return np.stack(channels, axis=2).astype(np.uint8)


def every_bmp() -> Iterator[Bmp]:
    """Headers of all ages, depths, row orders, masks and runs: those that are read, and others."""
    random = np.random.default_rng(0)
    height, width = 13, 21

    def indices(bits: int) -> np.ndarray:
        return random.integers(0, 2**bits, (height, width))

    def palette(bits: int) -> np.ndarray:
        return random.integers(0, 256, (2**bits, 3)).astype(np.uint8)

    for header, top_down in product((CORE, INFO, V2, V3, OS2, V4, V5), (False, True)):
        if header != CORE or not top_down:
            for bits in (1, 2, 4, 8):
                yield Bmp(indices(bits), bits, header, palette=palette(bits), top_down=top_down)
            for bits in (16, 24, 32) if header != CORE else (24,):
                yield Bmp(indices(bits), bits, header, top_down=top_down)
    for header, (bits, masks) in product((INFO, V2, V3, V4, V5), EVERY_MASK):
        yield Bmp(indices(bits), bits, header, MASKS, masks)
    blocks = np.repeat(random.integers(0, 16, (height, 7)), 3, axis=1)
    for pixels in (blocks, np.where(indices(1), blocks, indices(4)), indices(4)):
        for bits, compression, header in product((4, 8), (PLAIN, RLE4, RLE8), (INFO, V4, OS2)):
            yield Bmp(pixels, bits, header, compression, palette=palette(bits))
    for bits, compression, count in product((1, 4, 8), (PLAIN, RLE4, RLE8), (2, 16, 256)):
        greys = np.linspace(0, 255, 2) if count == 2 else np.arange(count)
        for colours in (greys, greys[::-1]):
            names = np.repeat(colours[:, None], 3, axis=1).astype(np.uint8)
            if count <= 2**bits:
                yield Bmp(blocks % min(count, 2**bits), bits, INFO, compression, palette=names, colours=count)


EVERY_MASK = [
    *((16, (red, green, 0x1F, alpha)) for red, green in ((0xF800, 0x7E0), (0x7C00, 0x3E0)) for alpha in (0, 0x8000)),
    (16, (0xF00, 0xF0, 0xF, 0xF000)),
    (16, (0x1F, 0x7E0, 0xF800, 0)),
    (24, (0xFF0000, 0xFF00, 0xFF, 0)),
    (24, (0xFF, 0xFF00, 0xFF0000, 0)),
    *((32, (0xFF0000, 0xFF00, 0xFF, alpha)) for alpha in (0, 0xFF000000)),
    *((32, (0xFF, 0xFF00, 0xFF0000, alpha)) for alpha in (0, 0xFF000000)),
    *((32, (0xFF000000, 0xFF0000, 0xFF00, alpha)) for alpha in (0, 0xFF)),
    *((32, (0xFF000000, 0xFF00, 0xFF, alpha)) for alpha in (0, 0xFF0000)),
    (32, (0x3FF00000, 0xFFC00, 0x3FF, 0)),
    (32, (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000)),
    (32, (0xF00, 0xF0, 0xF, 0xF000)),
    (32, (0xFF0000, 0xFF00, 0, 0)),
]
"""Bits, and the masks of red, green, blue and alpha."""


def _runs(row: np.ndarray, per_byte: int) -> bytes:
    """A row as runs of one colour and, where colours change, pixels as they are; then the end of the row."""
    out, index = b"", 0
    row = [int(value) for value in row]
    while index < len(row):
        end = index
        while end < len(row) and row[end] == row[index] and end - index < 255:
            end += 1
        if end - index > 2 or len(row) - index < 3:
            value = row[index] * 17 if per_byte == 2 else row[index]
            out += bytes([end - index, value])
            index = end
            continue
        part = row[index : index + 7]
        part = part if len(part) >= 3 else row[index : index + 3]
        nibbles = [*part, 0] if len(part) % 2 else part
        data = bytes(part)
        if per_byte == 2:
            data = bytes(high << 4 | low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True))
        out += bytes([0, len(part)]) + data + bytes(len(data) % 2)
        index += len(part)
    return out + b"\0\0"
