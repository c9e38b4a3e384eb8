"""The container formats of images, parsed from bytes alone: format, size, metadata, and whether the file is complete.

    detect      the format, by the first bytes
    names       what other files are, for the detail of a rejection
    limits      the most pixels and the most metadata of one image
    jpeg, png, webp, gif, bmp, tiff, heif, jpeg2000
                one format each, HEIC and AVIF together: `size(data)` reads the header, `check(data, limits)` walks
                the file to its end
    heif_items  what a HEIC or AVIF file is made of
    isobmff     the boxes of HEIC, AVIF and JPEG 2000
    av1         the size that the bitstream of an AVIF file declares

Nothing is decoded, and no more than limits.max_profile_bytes or 1 MiB is allocated at a time. Errors inside the
compressed pixels are left to the decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from imagefeatures.formats import bmp, gif, heif, jpeg, jpeg2000, png, tiff, webp
from imagefeatures.formats.detect import detect_format
from imagefeatures.formats.limits import check_pixels
from imagefeatures.limits import FORMATS, Limits

__all__ = ["FORMATS", "check", "check_header", "detect_format", "for_decoder"]


@dataclass(frozen=True)
class _Parser:
    size: Callable[[bytes], tuple[int, int] | None]
    check: Callable[[bytes, Limits], None]


_PARSERS = {
    "JPEG": _Parser(jpeg.size, jpeg.check),
    "PNG": _Parser(png.size, png.check),
    "WEBP": _Parser(webp.size, webp.check),
    "GIF": _Parser(gif.size, gif.check),
    "BMP": _Parser(bmp.size, bmp.check),
    "TIFF": _Parser(tiff.size, tiff.check),
    "HEIC": _Parser(partial(heif.size, kind="HEIC"), partial(heif.check, kind="HEIC")),
    "AVIF": _Parser(partial(heif.size, kind="AVIF"), partial(heif.check, kind="AVIF")),
    "JPEG2000": _Parser(jpeg2000.size, jpeg2000.check),
}


def check_header(data: bytes, limits: Limits) -> str:
    """The image's format. Raises Rejected when the format, or the size in the header, is not allowed."""
    kind = detect_format(data, limits.formats)
    if size := _PARSERS[kind].size(data):
        width, height = size
        check_pixels(width, height, limits)
    return kind


def check(data: bytes, limits: Limits) -> str:
    """The image's format. Raises Rejected when its header is not allowed, or its container is incomplete or corrupt."""
    kind = check_header(data, limits)
    _PARSERS[kind].check(data, limits)
    return kind


def for_decoder(data: bytes, kind: str) -> bytes:
    """The bytes of the file that its decoder is to see. kind: its format."""
    return heif.for_decoder(data) if kind in ("HEIC", "AVIF") else data
