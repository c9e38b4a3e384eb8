"""The container formats of images, parsed from bytes alone: format, size, metadata, and whether the file is complete.

    detect      the format, by the first bytes
    names       what other files are, for the detail of a rejection
    limits      the most pixels and the most metadata of one image
    jpeg, png, webp, gif, bmp, tiff, heif, jpeg2000
                one format each, HEIC and AVIF together: `size(data)` reads the header, `check(data, limits)` walks
                the file to its end, `check_mode(data)` refuses what the decoder would not read right; some have
                `readable(data)`, the bytes for the decoder, `without_metadata(data)`, those for a second try, and
                `palette_colours(data)`
    jpeg_frame, bmp_runs, tiff_directory, tiff_layout, tiff_modes
                what such files declare of their pixels
    tiff_codes  whether JPEG and fax in a TIFF have lost codes
    gif_codes   whether the codes of a GIF name colours that no palette has
    heif_items  what a HEIC or AVIF file is made of
    isobmff     the boxes of HEIC, AVIF and JPEG 2000
    npy, tiff_bands
                files whose samples are taken as they are stored: for `imagefeatures.bands`
    av1, hevc   what the bitstream of an AVIF or HEIC file declares: the size, the colour matrix
    bits        numbers in such a header

Nothing is decoded, and no more than limits.INFLATED_BYTES or limits.max_profile_bytes is allocated at a time. Errors
inside the compressed pixels are left to the decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from imagefeatures.formats import bmp, gif, heif, jpeg, jpeg2000, png, tiff, webp
from imagefeatures.formats.detect import detect_format
from imagefeatures.formats.limits import check_pixels
from imagefeatures.limits import FORMATS, Limits

__all__ = ["FORMATS", "check", "check_header", "detect_format", "palette_colours", "readable", "without_metadata"]


@dataclass(frozen=True)
class _Parser:
    """What the module of a format offers. The last three: only where its decoder needs them."""

    size: Callable[[bytes], tuple[int, int] | None]
    check: Callable[[bytes, Limits], None]
    check_mode: Callable[[bytes], None]
    readable: Callable[[bytes], bytes] | None = None
    without_metadata: Callable[[bytes], bytes] | None = None
    palette_colours: Callable[[bytes], int] | None = None


_PARSERS = {
    "JPEG": _Parser(jpeg.size, jpeg.check, jpeg.check_mode, without_metadata=jpeg.without_metadata),
    "PNG": _Parser(png.size, png.check, png.check_mode, png.readable, palette_colours=png.palette_colours),
    "WEBP": _Parser(webp.size, webp.check, webp.check_mode),
    "GIF": _Parser(gif.size, gif.check, gif.check_mode, None, gif.without_metadata, gif.palette_colours),
    "BMP": _Parser(bmp.size, bmp.check, bmp.check_mode, palette_colours=bmp.palette_colours),
    "TIFF": _Parser(tiff.size, tiff.check, tiff.check_mode, tiff.readable, tiff.without_metadata),
    "JPEG2000": _Parser(jpeg2000.size, jpeg2000.check, jpeg2000.check_mode),
} | {
    kind: _Parser(heif.size, partial(heif.check, kind=kind), partial(heif.check_mode, kind=kind), heif.readable)
    for kind in ("HEIC", "AVIF")
}


def check_header(data: bytes, limits: Limits) -> str:
    """The image's format.

    Raises Rejected when the format, the size in the header, or what the file declares of its pixels is not allowed.
    """
    kind = _check_size(data, limits)
    _PARSERS[kind].check_mode(data)
    return kind


def check(data: bytes, limits: Limits) -> str:
    """The image's format. Raises Rejected when its header is not allowed, or its container is incomplete or corrupt."""
    kind = _check_size(data, limits)
    parser = _PARSERS[kind]
    parser.check(data, limits)  # before the pixels are judged: of a file that was cut nothing else need be said
    if kind != "JPEG":  # whose walk has met its frame: a second one would be felt in a run of photos
        parser.check_mode(data)
    return kind


def readable(kind: str, data: bytes) -> bytes:
    """The bytes for the decoder: without broken metadata at which it would stop, though they touch no pixel.

    The same object if there is nothing to take out.
    """
    parser = _PARSERS[kind]
    return parser.readable(data) if parser.readable else data


def without_metadata(kind: str, data: bytes) -> bytes | None:
    """The file without all metadata but its orientation, for a second try; None for a format that needs none."""
    parser = _PARSERS[kind]
    return parser.without_metadata(data) if parser.without_metadata else None


def palette_colours(kind: str, data: bytes) -> int:
    """How many colours the palette has, where a pixel may name one behind its end; 0 where it cannot."""
    parser = _PARSERS[kind]
    return parser.palette_colours(data) if parser.palette_colours else 0


def _check_size(data: bytes, limits: Limits) -> str:
    kind = detect_format(data, limits.formats)
    if size := _PARSERS[kind].size(data):
        width, height = size
        check_pixels(width, height, limits)
    return kind
