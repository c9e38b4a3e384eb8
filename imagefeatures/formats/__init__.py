"""What image containers say of themselves, from bytes alone: format, size, metadata, and whether the end is there.

    detect     which format the first bytes show
    limits     how many pixels and how much metadata are allowed
    jpeg, png, webp, gif, bmp, tiff
               one format each: `size(data)` reads its header, `check(data)` walks it to its end

Nothing is decoded, and no more is allocated than limits.INFLATED_BYTES at a time. What cannot be seen
from outside (an error inside the compressed pixels) is found by the decoder.
"""

from __future__ import annotations

from imagefeatures.datasets import FORMATS, Limits
from imagefeatures.formats import bmp, gif, jpeg, png, tiff, webp
from imagefeatures.formats.detect import detect_format
from imagefeatures.formats.limits import check_pixels

__all__ = ["FORMATS", "check", "check_header", "detect_format"]

_WALKER = {"JPEG": jpeg, "PNG": png, "WEBP": webp, "GIF": gif, "BMP": bmp, "TIFF": tiff}


def check_header(data: bytes, limits: Limits) -> str:
    """The image's format, once its first bytes and the size in its header are allowed. Raises Rejected."""
    kind = detect_format(data, limits.formats)
    if size := _WALKER[kind].size(data):
        check_pixels(*size, limits)
    return kind


def check(data: bytes, limits: Limits) -> str:
    """The image's format, once its header is allowed and its container is whole. Raises Rejected."""
    kind = check_header(data, limits)
    _WALKER[kind].check(data)
    return kind
