"""What image containers say of themselves, from bytes alone: format, size, metadata, and whether the end is there.

    sniffing   which format the first bytes show
    bounds     how many pixels and how much metadata are allowed
    jpeg, png, webp, gif, bmp, tiff
               one format each: `size(data)` reads its header, `check(data)` walks it to its end

Nothing is decoded, and no more is allocated than bounds.INFLATED_BYTES at a time. What cannot be seen
from outside (an error inside the compressed pixels) is found by the decoder.
"""

from __future__ import annotations

from imagefeatures.containers import bmp, gif, jpeg, png, tiff, webp
from imagefeatures.containers.bounds import check_pixels
from imagefeatures.containers.sniffing import sniff
from imagefeatures.datasets import FORMATS, Limits

__all__ = ["FORMATS", "admit", "check", "sniff"]

_WALKER = {"JPEG": jpeg, "PNG": png, "WEBP": webp, "GIF": gif, "BMP": bmp, "TIFF": tiff}


def admit(data: bytes, limits: Limits) -> str:
    """The image's format, once its first bytes and the size in its header are allowed. Raises Rejected."""
    kind = sniff(data, limits.formats)
    if size := _WALKER[kind].size(data):
        check_pixels(*size, limits)
    return kind


def check(data: bytes, limits: Limits) -> str:
    """The image's format, once it is admitted and its container is found whole. Raises Rejected."""
    kind = admit(data, limits)
    _WALKER[kind].check(data)
    return kind
