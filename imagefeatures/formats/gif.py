"""GIF: a screen, then images and extensions, whose blocks begin with their length, then a trailer."""

from __future__ import annotations

from collections.abc import Iterator

from imagefeatures.errors import Rejected
from imagefeatures.formats.limits import Metadata
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

_TRAILER, _IMAGE, _EXTENSION = 0x3B, 0x2C, 0x21


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height of the screen, enlarged to hold the first image, as decoders do; None if it is incomplete."""
    if len(data) < 10:
        return None
    width, height = _pair(data, 6)
    first = next((start for kind, start in _parts(data) if kind == _IMAGE), None)
    if first is not None:
        (left, top), (image_width, image_height) = _pair(data, first + 1), _pair(data, first + 5)
        width, height = max(width, left + image_width), max(height, top + image_height)
    return width, height


def check(data: bytes, limits: Limits) -> None:
    """Walk the parts up to the trailer. Raises Rejected (TRUNCATED, METADATA_TOO_LARGE)."""
    metadata, extension = Metadata("GIF", limits), None
    for kind, start in _parts(data):
        if extension is not None:
            metadata.add(start - extension)
        if kind == _TRAILER:
            return
        extension = start if kind == _EXTENSION else None
    raise Rejected(Reason.TRUNCATED, f"GIF of {len(data):,} bytes without its trailer")


def _parts(data: bytes) -> Iterator[tuple[int, int]]:
    """(kind, first byte's position) of each image and extension, and of the trailer."""
    position = 13 + _palette_bytes(data, 10)
    while position < len(data):
        kind = data[position]
        if kind in (_TRAILER, _IMAGE, _EXTENSION):
            yield kind, position
        if kind == _TRAILER:
            return
        if kind == _IMAGE:  # descriptor, palette, code size
            position += 11 + _palette_bytes(data, position + 9)
        elif kind == _EXTENSION:  # introducer and label
            position += 2
        else:  # decoders skip unknown bytes
            position += 1
            continue
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1


def _palette_bytes(data: bytes, flags_position: int) -> int:
    flags = data[flags_position] if flags_position < len(data) else 0
    return 6 << (flags & 7) if flags & 0x80 else 0


def _pair(data: bytes, start: int) -> tuple[int, int]:
    return int.from_bytes(data[start : start + 2], "little"), int.from_bytes(data[start + 2 : start + 4], "little")
