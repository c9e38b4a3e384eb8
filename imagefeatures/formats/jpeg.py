"""JPEG: segments, each after a marker, and entropy-coded scans between them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff
from imagefeatures.formats.limits import Metadata
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # 00 is a stuffed byte; 01 and d0 to d7 have no segment
_END, _SCAN, _EXIF, _COMMENT = 0xD9, 0xDA, 0xE1, 0xFE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # these three are no frames
_APPLICATION = range(0xE0, 0xF0)


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the frame header; None without one."""
    for marker, start, _ in _segments(data):
        if marker in _FRAMES:
            return int.from_bytes(data[start + 5 : start + 7]), int.from_bytes(data[start + 3 : start + 5])
        if marker == _SCAN:
            break
    return None


def check(data: bytes, limits: Limits) -> None:
    """Walk the markers up to the end of the image. Raises Rejected (TRUNCATED, METADATA_TOO_LARGE)."""
    metadata, exif = Metadata("JPEG", limits), b""
    for marker, start, length in _segments(data):
        if marker == _END:
            tiff.check_exif(exif, metadata)
            return
        if marker in _APPLICATION or marker == _COMMENT:
            metadata.add(length)
            if marker == _EXIF and data[start + 2 : start + 8] == b"Exif\0\0":
                exif += data[start + 8 : start + length]  # long EXIF is spread over several segments
    raise Rejected(Reason.TRUNCATED, f"JPEG of {len(data):,} bytes without its end marker")


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, position of its length field, length) of each segment; the end marker has length 0.

    The content of a segment is skipped, since previews inside the metadata have end markers of their own.
    Bytes after the end marker are ignored, since phones append whole films there.
    """
    position = 2
    while match := _MARKER.search(data, position):
        position, marker = match.end(), data[match.end() - 1]
        if marker == _END:
            yield marker, position, 0
            return
        if marker != 0xD8:
            length = int.from_bytes(data[position : position + 2])
            yield marker, position, length
            position += length
