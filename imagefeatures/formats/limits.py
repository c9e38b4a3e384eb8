"""How much an image may ask for before anything is decoded: pixels by its header, bytes of metadata."""

from __future__ import annotations

from imagefeatures.datasets import Limits
from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason

METADATA_BYTES = 16 * 2**20
"""Most metadata (profiles, EXIF, XMP, texts, tags) that one image may carry, counted as it is once inflated."""

INFLATED_BYTES = 2**20
"""Most that one compressed piece of metadata may inflate to: Pillow's own limit for a PNG's chunk."""


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Raises Rejected (TOO_MANY_PIXELS) with both sides and the limit."""
    if width * height > limits.max_pixels:
        raise Rejected(
            Reason.TOO_MANY_PIXELS,
            f"{width} × {height} = {width * height:,}, limits.max_pixels is {limits.max_pixels:,}",
        )


class Metadata:
    """The metadata met so far in one image."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._bytes = 0

    def add(self, size: int) -> None:
        """Count this many bytes. Raises Rejected (METADATA_TOO_LARGE) when they are too many together."""
        self._bytes += size
        if self._bytes > METADATA_BYTES:
            raise Rejected(
                Reason.METADATA_TOO_LARGE,
                f"{self._kind} with {self._bytes:,} bytes of metadata or more, {METADATA_BYTES:,} are allowed",
            )
