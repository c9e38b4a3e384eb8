"""TIFF: what the first directory declares of its pixels, and where they stand."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from imagefeatures.formats.tiff_directory import BYTE, RATIONAL, entries, integers, is_whole_numbers, rationals

SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
FILL_ORDER, STRIP_OFFSETS, SAMPLES, ROWS, STRIP_BYTES, PLANES, PREDICTOR = 266, 273, 277, 278, 279, 284, 317
PALETTE, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SUBDIRECTORIES = 320, 322, 323, 324, 325, 330
INK_SET, DOT_RANGE, EXTRA, SAMPLE_FORMAT, JPEG_STREAM = 332, 336, 338, 339, 513
COEFFICIENTS, SUBSAMPLING, REFERENCE, DNG_VERSION, FAX_OPTIONS = 529, 530, 532, 50706, 292
"""The tags that describe the pixels."""

_SINGLE = {SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, FILL_ORDER, SAMPLES, ROWS, PLANES}
_SINGLE |= {PREDICTOR, TILE_WIDTH, TILE_HEIGHT, INK_SET, JPEG_STREAM}
_SEVERAL = {BITS, DOT_RANGE, EXTRA, SAMPLE_FORMAT, SUBSAMPLING, SUBDIRECTORIES}
_FRACTIONS = {COEFFICIENTS, REFERENCE}
_ARRAYS = {STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES, PALETTE}
_MOST_VALUES = 16  # of a tag that has one value for each sample: more samples than that are not read anyway

NEEDED = _SINGLE | _SEVERAL | _FRACTIONS | _ARRAYS | {FAX_OPTIONS, 293, 347, 512, 514, 515, 519, 520, 521}
"""Without these tags no pixel can be read, or it is read as another: with the options of fax and the parts of JPEG."""

RAW = 1
"""The compression that is none."""


@dataclass(frozen=True)
class Layout:
    """What a first directory declares. bits, sample_format: of every sample; 0 if they differ.

    values: whole numbers and fractions of the other tags. arrays: of offsets, lengths and the palette. odd: a tag that
    should hold whole numbers, and its type, which holds none.
    """

    values: dict[int, tuple[float, ...]]
    arrays: dict[int, np.ndarray]
    width: int
    height: int
    samples: int
    bits: int
    sample_format: int
    odd: tuple[int, int] | None

    def one(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return int(self.values[tag][0]) if tag in self.values else default

    @property
    def compression(self) -> int:
        return self.one(COMPRESSION, RAW)

    @property
    def photometric(self) -> int | None:
        """The kind of colours; None if the file does not say."""
        return int(self.values[PHOTOMETRIC][0]) if PHOTOMETRIC in self.values else None

    @property
    def extra(self) -> tuple[int, ...]:
        """What the samples beyond the colours are."""
        return tuple(int(value) for value in self.values.get(EXTRA, ()))

    @property
    def planes_apart(self) -> bool:
        return self.one(PLANES, 1) == 2

    @property
    def reversed_bits(self) -> bool:
        return self.one(FILL_ORDER, 1) == 2

    @property
    def tiled(self) -> bool:
        return TILE_OFFSETS in self.arrays

    @property
    def offsets(self) -> np.ndarray:
        """Where each strip or tile begins: uint64 [n]."""
        return self.arrays.get(TILE_OFFSETS if self.tiled else STRIP_OFFSETS, np.empty(0)).astype(np.uint64)

    @property
    def lengths(self) -> np.ndarray:
        """The declared bytes of each strip or tile: uint64 [n]; fewer if the file does not say."""
        return self.arrays.get(TILE_BYTES if self.tiled else STRIP_BYTES, np.empty(0)).astype(np.uint64)

    @property
    def part(self) -> tuple[int, int]:
        """Columns and rows of a strip or tile; (0, 0) where a side is missing."""
        if self.tiled:
            return self.one(TILE_WIDTH, 0), self.one(TILE_HEIGHT, 0)
        return self.width, min(self.one(ROWS, self.height), self.height)

    @property
    def parts_of_plane(self) -> int:
        """How many strips or tiles the picture takes, or one of its planes; 0 if they have no size."""
        columns, rows = self.part
        return -(-self.width // columns) * -(-self.height // rows) if columns and rows else 0

    @property
    def parts(self) -> int:
        """How many strips or tiles the picture takes; 0 if they have no size."""
        return self.parts_of_plane * (self.samples if self.planes_apart else 1)

    def shown(self, part: int) -> tuple[int, int]:
        """Columns and rows of the picture in a strip or tile, which may reach beyond it. Both sides must be known."""
        columns, rows = self.part
        across, down = -(-self.width // columns), -(-self.height // rows)
        row, column = part // across % down, part % across
        return min(columns, self.width - column * columns), min(rows, self.height - row * rows)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of an uncompressed strip or tile."""
        samples = 1 if self.planes_apart else self.samples
        return (self.part[0] * samples * self.bits + 7) // 8


def read_layout(data: bytes, directory: int | None = None, most_values: int = _MOST_VALUES) -> Layout | None:
    """What a directory declares, the first by default; None if it, or a value that describes the pixels, is not whole.

    most_values: how many values are read of a tag that has one for each sample.
    """
    values: dict[int, tuple[float, ...]] = {}
    arrays: dict[int, np.ndarray] = {}
    odd: tuple[int, int] | None = None
    try:
        for tag, kind, count, start in entries(data, directory):
            if tag in values or tag in arrays or not count:  # decoders take the first of two
                continue
            if tag in _FRACTIONS and kind == RATIONAL:
                values[tag] = tuple(rationals(data, min(count, most_values), start))
            elif tag == DNG_VERSION:
                values[tag] = (1,)
            elif tag == FAX_OPTIONS and is_whole_numbers(kind):
                values[tag] = tuple(integers(data, kind, 1, start).tolist())
            elif tag not in _SINGLE | _SEVERAL | _ARRAYS:
                continue
            elif not is_whole_numbers(kind) and (tag, kind) != (DOT_RANGE, BYTE):
                odd = odd or (tag, kind)
            elif tag in _ARRAYS:
                arrays[tag] = integers(data, kind, count, start)
            else:
                values[tag] = tuple(integers(data, kind, min(count, most_values), start).tolist())
    except (struct.error, ValueError):
        return None
    if WIDTH not in values or HEIGHT not in values:
        return None
    return Layout(
        values=values,
        arrays=arrays,
        width=int(values[WIDTH][0]),
        height=int(values[HEIGHT][0]),
        samples=int(values.get(SAMPLES, (1,))[0]),
        bits=_same(values.get(BITS, (1,))),
        sample_format=_same(values.get(SAMPLE_FORMAT, (1,))),
        odd=odd,
    )


def _same(values: tuple[float, ...]) -> int:
    return int(values[0]) if len(set(values)) == 1 else 0


def subdirectory_sizes(data: bytes, layout: Layout) -> list[tuple[int, int]]:
    """Width and height of each picture in a SubIFD that is not a reduced one."""
    sizes = []
    for offset in layout.values.get(SUBDIRECTORIES, ()):
        wanted = {SUBFILE: 0, WIDTH: 0, HEIGHT: 0}
        try:
            for tag, kind, count, start in entries(data, int(offset)):
                if tag in wanted and count and is_whole_numbers(kind):
                    wanted[tag] = int(integers(data, kind, 1, start)[0])
        except (struct.error, ValueError):
            continue
        if not wanted[SUBFILE] & 1:
            sizes.append((wanted[WIDTH], wanted[HEIGHT]))
    return sizes


def text(data: bytes, wanted: int) -> str:
    """The text of a tag of the first directory; empty if it has none."""
    try:
        for tag, kind, count, start in entries(data):
            if tag == wanted and kind == 2:
                return data[start : start + min(count, 64)].split(b"\0")[0].decode("latin-1")
    except struct.error:
        pass
    return ""
