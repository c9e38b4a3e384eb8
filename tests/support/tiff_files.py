"""TIFF files of every layout, written from the specification, with the RGB pixels that they hold.

Pillow writes few of them. So the bits, planes, polarity, fill order, predictor and compression are laid out here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR, LAB = 0, 1, 2, 3, 4, 5, 6, 8
"""Values of PhotometricInterpretation."""

NONE, LZW, JPEG, ADOBE_DEFLATE, DEFLATE, PACKBITS = 1, 5, 7, 8, 32946, 32773
"""Values of Compression."""

BYTE, SHORT, LONG, RATIONAL = 1, 3, 4, 5
_PACKING = {BYTE: "B", 2: "s", SHORT: "H", LONG: "I", RATIONAL: "II"}
_REVERSED = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], np.uint8)


@dataclass(frozen=True)
class Tiff:
    """A TIFF file to be written.

    samples: whole numbers [height, width, samples], or floats. bits: of a sample. rows: of a strip, all by default.
    tile: its side. encode: a strip's pixels as bytes, in place of a compression known here. tags: more of them, or
    others: number: (type, values).
    """

    samples: np.ndarray
    bits: int
    photometric: int | None
    order: str = "<"
    planes: bool = False
    compression: int = NONE
    reversed_bits: bool = False
    predictor: bool = False
    extra: tuple[int, ...] = ()
    sample_format: int = 1
    rows: int | None = None
    tile: int | None = None
    palette: np.ndarray | None = None
    encode: Callable[[np.ndarray], bytes] | None = None
    tags: dict[int, tuple[int, tuple[Any, ...]] | None] = field(default_factory=dict)

    def bytes(self) -> bytes:
        """The whole file: header, directory, values, pixels."""
        height, width, count = self.samples.shape
        parts = [self._stored(part) for part in self._parts()]
        lengths = tuple(len(part) for part in parts)
        offsets_tag, lengths_tag = (324, 325) if self.tile else (273, 279)
        tags: dict[int, tuple[int, tuple[Any, ...]] | None] = {
            256: (LONG, (width,)),
            257: (LONG, (height,)),
            258: (SHORT, (self.bits,) * count),
            259: (SHORT, (self.compression,)),
            262: None if self.photometric is None else (SHORT, (self.photometric,)),
            266: (SHORT, (2,)) if self.reversed_bits else None,
            offsets_tag: (LONG, lengths),  # replaced below
            277: (SHORT, (count,)),
            278: None if self.tile else (LONG, (self.rows or height,)),
            lengths_tag: (LONG, lengths),
            284: (SHORT, (2,)) if self.planes else None,
            317: (SHORT, (2,)) if self.predictor else None,
            320: None if self.palette is None else (SHORT, tuple(int(value) for value in self.palette.T.ravel())),
            322: (LONG, (self.tile,)) if self.tile else None,
            323: (LONG, (self.tile,)) if self.tile else None,
            338: (SHORT, self.extra) if self.extra else None,
            339: (SHORT, (self.sample_format,) * count) if self.sample_format != 1 else None,
        }
        tags |= self.tags
        start = len(self._directory(tags))
        if tags.get(offsets_tag) == (LONG, lengths):
            starts = [start + sum(lengths[:index]) for index in range(len(lengths))]
            tags[offsets_tag] = (LONG, tuple(starts))
        return self._directory(tags) + b"".join(parts)

    def rgb(self) -> np.ndarray:
        """The pixels as docs/images.md has them: uint8 [height, width, 3]."""
        values, most = self.samples, 2**self.bits - 1
        if self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
            grey = values[..., :1] if self.photometric == BLACK_IS_ZERO else most - values[..., :1]
            if self.extra[:1] == (1,):
                grey = _divided(grey, values[..., 1:2])
            grey = np.rint(grey * np.float32(255 / 65535)) if self.bits == 16 else grey * 255 // most
            return np.repeat(grey.astype(np.uint8), 3, axis=2)
        if self.photometric == PALETTE:
            assert self.palette is not None
            return (self.palette[values[..., 0]] >> 8).astype(np.uint8)
        high = values >> self.bits - 8
        if self.photometric == CMYK:
            light = 255.0 - high[..., 3:4]
            return (light - np.floor(high[..., :3] * light / 255 + 0.5)).astype(np.uint8)
        if self.photometric == YCBCR:
            y, blue, red = (high[..., index] - (0.0, 128.0, 128.0)[index] for index in range(3))
            colours = (y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue)
            return np.rint(np.clip(np.stack(colours, axis=2), 0, 255)).astype(np.uint8)
        colours = high[..., :3]
        return (_divided(colours, high[..., 3:4]) if self.extra[:1] == (1,) else colours).astype(np.uint8)

    def _directory(self, tags: dict[int, tuple[int, tuple[Any, ...]] | None]) -> bytes:
        entries = sorted((tag, *entry) for tag, entry in tags.items() if entry)
        head = {"<": b"II", ">": b"MM"}[self.order] + struct.pack(self.order + "HIH", 42, 8, len(entries))
        outside, position = b"", 8 + 2 + 12 * len(entries) + 4
        for tag, kind, values in entries:
            if kind == 2:
                packed, count = values[0], len(values[0])
            else:
                packing = self.order + _PACKING[kind] * (len(values) // len(_PACKING[kind]))
                packed, count = struct.pack(packing, *values), len(values) // len(_PACKING[kind])
            head += struct.pack(self.order + "HHI", tag, kind, count)
            if len(packed) > 4:
                head += struct.pack(self.order + "I", position + len(outside))
                outside += packed + bytes(len(packed) % 2)
            else:
                head += packed.ljust(4, b"\0")
        return head + bytes(4) + outside

    def _parts(self) -> Iterator[np.ndarray]:
        """The samples of each strip or tile: [rows, columns, samples or 1]."""
        planes = np.split(self.samples, self.samples.shape[2], axis=2) if self.planes else [self.samples]
        for plane in planes:
            height, width, _ = plane.shape
            if not self.tile:
                step = self.rows or height
                yield from (plane[top : top + step] for top in range(0, height, step))
                continue
            padded = np.pad(plane, ((0, -height % self.tile), (0, -width % self.tile), (0, 0)), mode="edge")
            for top in range(0, height, self.tile):
                for left in range(0, width, self.tile):
                    yield padded[top : top + self.tile, left : left + self.tile]

    def _stored(self, part: np.ndarray) -> bytes:
        if self.encode:
            return self.encode(part)
        if self.predictor:
            part = np.diff(part.astype(np.int64), axis=1, prepend=0) % 2**self.bits
        data = _compressed(self.compression, packed(part, self.bits, self.order))
        return _REVERSED[np.frombuffer(data, np.uint8)].tobytes() if self.reversed_bits else data


def _divided(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Premultiplied colours of 8 bits as they were before; 0 where alpha is 0."""
    return np.where(alpha > 0, np.minimum(255, colours * 255 // np.maximum(alpha, 1)), 0)


def packed(part: np.ndarray, bits: int, order: str) -> list[bytes]:
    """The rows of a strip: the samples bit by bit, each row padded to a whole byte."""
    rows = np.ascontiguousarray(part.reshape(len(part), -1))
    if part.dtype.kind == "f":
        return [row.astype(f"{order}f{bits // 8}").tobytes() for row in rows]
    if bits % 8 == 0 and bits != 24:
        return [(row % 2**bits).astype(f"{order}u{bits // 8}").tobytes() for row in rows]
    shifts = np.arange(bits - 1, -1, -1)
    return [np.packbits((row.astype(np.int64)[:, None] >> shifts & 1).astype(np.uint8)).tobytes() for row in rows]


def _compressed(compression: int, rows: list[bytes]) -> bytes:
    if compression in (ADOBE_DEFLATE, DEFLATE):
        return zlib.compress(b"".join(rows))
    if compression == PACKBITS:
        return b"".join(_packbits(row) for row in rows)
    return _lzw(b"".join(rows)) if compression == LZW else b"".join(rows)


def _packbits(row: bytes) -> bytes:
    """Literal runs, and one repeated run where a row ends in equal bytes."""
    tail = len(row) - len(row.rstrip(row[-1:]))
    tail = min(tail, 128) if tail > 2 else 0
    rest = row[: len(row) - tail]
    literal = [bytes([len(part) - 1]) + part for part in (rest[at : at + 128] for at in range(0, len(rest), 128))]
    return b"".join(literal) + (bytes([257 - tail]) + row[-1:] if tail else b"")


def _lzw(data: bytes) -> bytes:
    """Codes of 9 bits alone: the table is cleared before it needs longer ones."""
    codes: list[int] = []
    for at in range(0, len(data), 200):
        codes += [256, *data[at : at + 200]]
    bits = (np.array([*codes, 257])[:, None] >> np.arange(8, -1, -1) & 1).astype(np.uint8)
    return np.packbits(bits).tobytes()
