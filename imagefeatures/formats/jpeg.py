"""JPEG: segments behind markers, and entropy-coded scans between them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff
from imagefeatures.formats.limits import Metadata
from imagefeatures.reasons import Reason

_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # 00 is a stuffed byte, 01 and d0 to d7 stand alone
_END, _SCAN, _EXIF, _COMMENT = 0xD9, 0xDA, 0xE1, 0xFE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # tables, not frames
_APPLICATION = range(0xE0, 0xF0)


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height as the frame header says."""
    for marker, at, _ in _segments(data):
        if marker in _FRAMES:
            return int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 3 : at + 5])
        if marker == _SCAN:
            break
    return None


def check(data: bytes) -> None:
    """From marker to marker to the end of the image. Raises Rejected."""
    metadata, exif = Metadata("JPEG"), b""
    for marker, at, length in _segments(data):
        if marker == _END:
            tiff.check_exif(exif, metadata)
            return
        if marker in _APPLICATION or marker == _COMMENT:
            metadata.add(length)
            if marker == _EXIF and data[at + 2 : at + 8] == b"Exif\0\0":
                exif += data[at + 8 : at + length]  # long EXIF is spread over several segments
    raise Rejected(Reason.TRUNCATED, f"JPEG of {len(data):,} bytes without its end marker")


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, where its length stands, its length) of each segment, and the end marker with length 0.

    Previews inside the metadata end with an end marker of their own, and phones append whole films
    behind the real one: so segments are jumped over, and what follows the end is not looked at.
    """
    at = 2
    while found := _MARKER.search(data, at):
        at, marker = found.end(), data[found.end() - 1]
        if marker == _END:
            yield marker, at, 0
            return
        if marker != 0xD8:
            length = int.from_bytes(data[at : at + 2])
            yield marker, at, length
            at += length
