"""GIF: a screen, then images and extensions in blocks that begin with their length, then a trailer."""

from __future__ import annotations

from collections.abc import Iterator

from imagefeatures.errors import Rejected
from imagefeatures.formats.limits import Metadata
from imagefeatures.reasons import Reason

_TRAILER, _IMAGE, _EXTENSION = 0x3B, 0x2C, 0x21


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height of the screen, grown to hold the first image as decoders do."""
    if len(data) < 10:
        return None
    width, height = _pair(data, 6)
    first = next((at for kind, at in _parts(data) if kind == _IMAGE), None)
    if first is not None:
        (x, y), (wide, high) = _pair(data, first + 1), _pair(data, first + 5)
        width, height = max(width, x + wide), max(height, y + high)
    return width, height


def check(data: bytes) -> None:
    """From part to part to the trailer. Raises Rejected."""
    metadata, extension = Metadata("GIF"), None
    for kind, at in _parts(data):
        if extension is not None:
            metadata.add(at - extension)
        if kind == _TRAILER:
            return
        extension = at if kind == _EXTENSION else None
    raise Rejected(Reason.TRUNCATED, f"GIF of {len(data):,} bytes without its trailer")


def _parts(data: bytes) -> Iterator[tuple[int, int]]:
    """(kind, where it begins) of images, extensions and the trailer."""
    at = 13 + _palette(data, 10)
    while at < len(data):
        kind = data[at]
        if kind in (_TRAILER, _IMAGE, _EXTENSION):
            yield kind, at
        if kind == _TRAILER:
            return
        if kind == _IMAGE:  # descriptor, palette, code size
            at += 11 + _palette(data, at + 9)
        elif kind == _EXTENSION:  # its mark and its label
            at += 2
        else:  # decoders skip what they do not know
            at += 1
            continue
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1


def _palette(data: bytes, flags_at: int) -> int:
    flags = data[flags_at] if flags_at < len(data) else 0
    return 6 << (flags & 7) if flags & 0x80 else 0


def _pair(data: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 2 : at + 4], "little")
