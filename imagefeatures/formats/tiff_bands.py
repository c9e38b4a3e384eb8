"""TIFF as a picture of bands: which pages and layouts are read, and what they declare. Nothing is decoded.

The bands are the samples of the first page; or those of all pages, one page after the other, if they are alike.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from imagefeatures.errors import Rejected
from imagefeatures.formats.limits import Metadata, check_bytes, check_pixels, most_bytes
from imagefeatures.formats.tiff import check_parts, end_of_pixels
from imagefeatures.formats.tiff_directory import SIZES, entries, integers, is_whole_numbers, next_directory
from imagefeatures.formats.tiff_layout import PREDICTOR, RAW, SUBFILE, Layout, read_layout
from imagefeatures.formats.tiff_modes import BLACK_IS_ZERO, PACKBITS, RGB, check_picture, compression_name, describe
from imagefeatures.limits import Limits
from imagefeatures.preprocessing.bands import MOST_BANDS, Channels
from imagefeatures.reasons import Reason

CODED = (5, 8, 32946, PACKBITS, 34925, 50000)
"""The compressions that are read: LZW, Deflate by both numbers, PackBits, LZMA, Zstandard."""

FLOATING_POINT = 3
_ORIENTATION = 274
_REDUCED, _MASK = 1, 4
_TYPES = {(8, 1): "uint8", (16, 1): "uint16", (32, 3): "float32"}


@dataclass(frozen=True)
class Pages:
    """The pages that hold the bands, all of one layout. orientation: 1 to 8. dtype: of a sample."""

    layouts: tuple[Layout, ...]
    orientation: int
    dtype: str

    @property
    def count(self) -> int:
        """How many bands they have together."""
        return len(self.layouts) * self.layouts[0].samples

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as they are stored."""
        return self.layouts[0].width, self.layouts[0].height


def read_pages(data: bytes, limits: Limits, channels: Channels) -> Pages:
    """The pages of a file that has exactly these channels.

    Raises Rejected: UNSUPPORTED_MODE with what was found and expected, UNSUPPORTED_FORMAT, TRUNCATED, CORRUPT,
    METADATA_TOO_LARGE.
    """
    directories = _directories(data, limits)
    layouts = []
    for directory in directories:
        if (layout := read_layout(data, directory, MOST_BANDS + 1)) is None:
            raise Rejected(Reason.TRUNCATED, f"TIFF of {len(data):,} bytes without the whole of a directory")
        if layout.odd:
            tag, kind = layout.odd
            raise Rejected(Reason.CORRUPT, f"TIFF whose tag {tag} has type {kind}, which is not that of whole numbers")
        layouts.append(layout)
    check_picture(data, layouts[0])
    bands = [layouts[0], *(one for one in layouts[1:] if not one.one(SUBFILE, 0) & (_REDUCED | _MASK))]
    dtype = _check_layout(bands[0])
    if unlike := next((one for one in bands if _kind(one) != _kind(bands[0])), None):
        _refuse(f"pages of {_shown(bands[0])} and of {_shown(unlike)}", channels)
    pages = Pages(tuple(bands), _orientation(data), dtype)
    if (pages.count, dtype) != (channels.count, channels.dtype):
        of_pages = f" ({len(bands)} pages of {bands[0].samples})" if len(bands) > 1 else ""
        _refuse(f"{pages.count} band{'s' * (pages.count != 1)} of {dtype}{of_pages}", channels)
    check_pixels(*pages.size, limits)
    for layout in bands:
        _check_bytes(layout, len(bands), limits)
        check_parts(layout)
        if (end := end_of_pixels(data, layout)) > len(data):
            raise Rejected(Reason.TRUNCATED, f"TIFF of {len(data):,} bytes, its pixels end at {end:,}")
    return pages


def _directories(data: bytes, limits: Limits) -> list[int]:
    """The positions of all directories in their order; the tags of all of them count as metadata."""
    metadata, found = Metadata("TIFF", limits), list[int]()
    try:
        directory = next_directory(data, None)
        while directory:
            if directory in found:
                raise Rejected(Reason.CORRUPT, "TIFF whose pages lead back to an earlier one")
            if len(found) >= 2 * MOST_BANDS:
                raise Rejected(Reason.UNSUPPORTED_MODE, f"found a TIFF of more than {2 * MOST_BANDS} pages")
            found.append(directory)
            for _, kind, count, _ in entries(data, directory):
                metadata.add(min(count * SIZES.get(kind, 0), len(data)))
            directory = next_directory(data, directory)
    except struct.error:
        raise Rejected(Reason.TRUNCATED, f"TIFF of {len(data):,} bytes without the whole of a directory") from None
    if not found:
        raise Rejected(Reason.CORRUPT, "TIFF without a page")
    return found


def _check_layout(layout: Layout) -> str:
    """The type of a sample. Raises Rejected for a layout that is not read."""
    if layout.compression != RAW and layout.compression not in CODED:
        known = compression_name(layout.compression)
        name = f"by {known}" if known else f"in way {layout.compression}"
        raise Rejected(Reason.UNSUPPORTED_FORMAT, f"found a TIFF image compressed {name}, which is not read as bands")
    dtype = _TYPES.get((layout.bits, layout.sample_format))
    predictors = [1] if layout.compression in (RAW, PACKBITS) else [1, FLOATING_POINT if dtype == "float32" else 2]
    read = layout.photometric in (BLACK_IS_ZERO, RGB) and layout.samples >= 1 and not layout.reversed_bits
    if not read or dtype is None or layout.one(PREDICTOR, 1) not in predictors:
        raise Rejected(Reason.UNSUPPORTED_MODE, f"a TIFF of {describe(layout)} is not read as bands")
    return dtype


def _check_bytes(layout: Layout, pages: int, limits: Limits) -> None:
    """Check what the strips or tiles unpack to, before one is. Raises Rejected (TOO_MANY_PIXELS, CORRUPT)."""
    if not layout.parts or not len(layout.offsets):  # a picture without a side takes no part
        raise Rejected(Reason.CORRUPT, f"TIFF of {layout.width} × {layout.height} without strips or tiles of a size")
    columns, rows = layout.part
    width, height = (-(-layout.width // columns) * columns, -(-layout.height // rows) * rows)
    shape = (height, width, layout.samples * pages)
    check_bytes(shape, layout.bits // 8, most_bytes(limits), "a TIFF that unpacks to")


def _kind(layout: Layout) -> tuple[int, int, int, int, int]:
    _check_layout(layout)
    return layout.width, layout.height, layout.samples, layout.bits, layout.sample_format


def _shown(layout: Layout) -> str:
    return f"{layout.width} × {layout.height} with {layout.samples} × {layout.bits} bits"


def _refuse(found: str, channels: Channels) -> None:
    raise Rejected(Reason.UNSUPPORTED_MODE, f"found {found}, the dataset declares {channels} (channels)")


def _orientation(data: bytes) -> int:
    """That of the first page; 1 where there is none, or none that is known, or it stands beyond the end of the file."""
    for tag, kind, count, start in entries(data):
        if tag == _ORIENTATION and count and is_whole_numbers(kind):
            try:
                value = int(integers(data, kind, 1, start)[0])
            except ValueError:
                return 1
            return value if 2 <= value <= 8 else 1
    return 1
