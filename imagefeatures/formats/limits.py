"""The limits that are checked before an image is decoded: pixels by its header, and bytes of metadata."""

from __future__ import annotations

from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

INFLATED_BYTES = 2**20
"""The most bytes that are inflated at a time, where they are only counted."""


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Raise Rejected (TOO_MANY_PIXELS), with both sides and the limit, for an image with too many pixels."""
    if width * height > limits.max_pixels:
        raise Rejected(
            Reason.TOO_MANY_PIXELS,
            f"{width} × {height} = {width * height:,}, limits.max_pixels is {limits.max_pixels:,}",
        )


MOST_PICTURE_BYTES = 2**28
"""The largest picture of bands, in memory: the decode process has 2 GiB, and holds it twice for a while."""


def most_bytes(limits: Limits) -> int:
    """The most bytes of a picture of bands: as many as limits.max_pixels pixels of RGB take in Pillow's memory."""
    return min(4 * limits.max_pixels, MOST_PICTURE_BYTES)


def check_bytes(shape: tuple[int, int, int], item_bytes: int, most: int, found: str) -> None:
    """Check what would be allocated, before it is. shape: height, width, bands. found: the words before the sizes.

    Raises Rejected (TOO_MANY_PIXELS).
    """
    height, width, bands = shape
    needed = height * width * bands * item_bytes
    if needed > most:
        detail = f"{found} {width:,} × {height:,} × {bands:,} bands × {item_bytes} bytes = {needed:,} bytes"
        raise Rejected(Reason.TOO_MANY_PIXELS, f"{detail}; {most:,} is the most")


class Metadata:
    """A running count of one image's bytes of metadata. kind: the format, for the detail of a rejection."""

    def __init__(self, kind: str, limits: Limits) -> None:
        self._kind = kind
        self._limit = limits.max_metadata_bytes
        self._bytes = 0

    def add(self, size: int) -> None:
        """Add `size` bytes to the count. Raises Rejected (METADATA_TOO_LARGE) when the sum is over the limit."""
        self._bytes += size
        if self._bytes > self._limit:
            raise Rejected(
                Reason.METADATA_TOO_LARGE,
                f"{self._kind} with {self._bytes:,} bytes of metadata or more, {self._limit:,} are allowed "
                "(limits.max_metadata_bytes)",
            )
