"""The container formats of images, parsed from bytes alone: format, size, metadata, and whether the file is complete.

    detect     the format, by the first bytes
    limits     the most pixels and the most metadata of one image
    jpeg, png, webp, gif, bmp, tiff
               one format each: `size(data)` reads the header, `check(data)` walks the file to its end, and
               `check_mode(data)` refuses what the decoder would not read right
    jpeg_frame, bmp_runs, tiff_directory, tiff_layout, tiff_modes
               what such files declare of their pixels

Nothing is decoded, and no more than limits.INFLATED_BYTES is allocated at a time. Errors inside the
compressed pixels are left to the decoder.
"""

from __future__ import annotations

from imagefeatures.formats import bmp, gif, jpeg, png, tiff, webp
from imagefeatures.formats.detect import detect_format
from imagefeatures.formats.limits import check_pixels
from imagefeatures.limits import FORMATS, Limits

__all__ = ["FORMATS", "check", "check_header", "detect_format", "palette_colours", "readable", "without_metadata"]

_PARSERS = {"JPEG": jpeg, "PNG": png, "WEBP": webp, "GIF": gif, "BMP": bmp, "TIFF": tiff}
_WITHOUT_METADATA = {"JPEG": jpeg.without_metadata, "GIF": gif.without_metadata, "TIFF": tiff.without_metadata}
_PALETTES = {"PNG": png.palette_colours, "GIF": gif.palette_colours, "BMP": bmp.palette_colours}
_READABLE = {"PNG": png.readable, "TIFF": tiff.readable}


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
    parser.check(data)  # before the pixels are judged: of a file that was cut nothing else need be said
    if parser is not jpeg:  # whose walk has met its frame: a second one would be felt in a run of photos
        parser.check_mode(data)
    return kind


def readable(kind: str, data: bytes) -> bytes:
    """The bytes for the decoder: without broken metadata at which it would stop, though they touch no pixel.

    The same object if there is nothing to take out.
    """
    parser = _READABLE.get(kind)
    return parser(data) if parser else data


def without_metadata(kind: str, data: bytes) -> bytes | None:
    """The file without all metadata but its orientation, for a second try; None for a format that needs none."""
    parser = _WITHOUT_METADATA.get(kind)
    return parser(data) if parser else None


def palette_colours(kind: str, data: bytes) -> int:
    """How many colours the palette has, where a pixel may name one behind its end; 0 where it cannot."""
    count = _PALETTES.get(kind)
    return count(data) if count else 0


def _check_size(data: bytes, limits: Limits) -> str:
    kind = detect_format(data, limits.formats)
    if size := _PARSERS[kind].size(data):
        width, height = size
        check_pixels(width, height, limits)
    return kind
