"""WebP: RIFF, whose first words say how long the file is."""

from __future__ import annotations

from collections.abc import Iterator

from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff
from imagefeatures.formats.limits import Metadata
from imagefeatures.reasons import Reason

_PIXELS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height of the canvas as the first chunk says."""
    head = data[12:30]
    if len(head) < 18:
        return None
    if head[:4] == b"VP8X":
        return 1 + int.from_bytes(head[12:15], "little"), 1 + int.from_bytes(head[15:18], "little")
    if head[:4] == b"VP8L":
        bits = int.from_bytes(head[9:13], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if head[:4] == b"VP8 ":
        return int.from_bytes(head[14:16], "little") & 0x3FFF, int.from_bytes(head[16:18], "little") & 0x3FFF
    return None


def check(data: bytes) -> None:
    """Its length, and its metadata. Raises Rejected."""
    said = int.from_bytes(data[4:8], "little") + 8
    if len(data) < said:
        raise Rejected(Reason.TRUNCATED, f"WebP says {said:,} bytes, {len(data):,} are there")
    metadata = Metadata("WebP")
    for kind, content in _chunks(data, said):
        if kind not in _PIXELS:
            metadata.add(8 + len(content))
        if kind == b"EXIF":
            tiff.check_exif(bytes(content), metadata)


def _chunks(data: bytes, end: int) -> Iterator[tuple[bytes, memoryview]]:
    view, at = memoryview(data), 12
    while at + 8 <= end:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], view[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
