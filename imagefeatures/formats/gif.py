"""GIF: a screen, then images and extensions, whose blocks begin with their length, then a trailer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from imagefeatures.errors import Rejected
from imagefeatures.formats import gif_codes
from imagefeatures.formats.limits import Metadata
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

_TRAILER, _IMAGE, _EXTENSION = 0x3B, 0x2C, 0x21
_COLOUR_BITS, _MOST_COLOUR_BITS = 8, 11  # as many as there should be, and as decoders take
_GRAPHIC_CONTROL = b"\xf9"


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


def check_mode(data: bytes) -> None:
    """Check that the colours of the first image, and of the screen around it, are declared as the decoder paints them.

    The decoder paints the screen with the transparent colour, or the first of the image's palette. Raises Rejected
    (UNSUPPORTED_MODE, and CORRUPT for codes of more bits than decoders take, or of colours that no palette has).
    """
    transparent, first = None, None
    for kind, start in _parts(data):
        if kind == _EXTENSION and data[start + 1 : start + 2] == _GRAPHIC_CONTROL:
            has_transparent = int.from_bytes(data[start + 3 : start + 4]) & 1
            transparent = int.from_bytes(data[start + 6 : start + 7]) if has_transparent else None
        if kind == _IMAGE:
            first = start
            break
    if first is None or len(data) < first + 10:
        return
    screen_colours = data[13 : 13 + _palette_bytes(data, 10)]
    colours = data[first + 10 : first + 10 + _palette_bytes(data, first + 9)] or screen_colours
    if not colours:
        raise Rejected(Reason.UNSUPPORTED_MODE, "a GIF without a palette is not read")
    size_of_screen, corner, size_of_image = _pair(data, 6), _pair(data, first + 1), _pair(data, first + 5)
    covered = corner == (0, 0) and all(side >= of for side, of in zip(size_of_image, size_of_screen, strict=True))
    background = screen_colours[3 * data[11] : 3 * data[11] + 3]
    if not covered and transparent is not None and 3 * transparent >= len(colours):
        raise Rejected(
            Reason.UNSUPPORTED_MODE,
            f"a GIF is not read where its transparent colour, {transparent}, is none of the {len(colours) // 3} of its "
            "palette and shows around its first image",
        )
    _check_codes(data, first + 10 + _palette_bytes(data, first + 9), math.prod(size_of_image), len(colours) // 3)
    if not covered and transparent is None and background != colours[:3]:
        shown, whole = (f"{width} × {height}" for width, height in (size_of_image, size_of_screen))
        raise Rejected(
            Reason.UNSUPPORTED_MODE,
            f"a GIF whose first image, {shown}, leaves out parts of {whole} is only read where the colour around it is "
            "the first of its palette",
        )


def _check_codes(data: bytes, start: int, pixels: int, colours: int) -> None:
    """Check that an image's codes name no colour that decoders cut to 8 bits. start: of its data. Raises Rejected."""
    colour_bits = int.from_bytes(data[start : start + 1])
    if colour_bits > _MOST_COLOUR_BITS:
        raise Rejected(Reason.CORRUPT, f"GIF with colours of {colour_bits} bits")
    if colour_bits > _COLOUR_BITS and (beyond := next(gif_codes.colours_beyond(data, start, pixels), None)):
        raise Rejected(Reason.CORRUPT, f"a pixel has colour {beyond} of a palette of {colours}")


def palette_colours(data: bytes) -> int:
    """How many colours the palette of the first image has; 0 without one."""
    first = next((start for kind, start in _parts(data) if kind == _IMAGE), None)
    own = 0 if first is None else _palette_bytes(data, first + 9)
    return (own or _palette_bytes(data, 10)) // 3


def without_metadata(data: bytes) -> bytes:
    """The file without extensions before its first image, but with what says which colour is transparent."""
    parts = list(_parts(data))
    kept, position = [], 0
    for (kind, start), (_, end) in pairwise(parts):
        if kind == _IMAGE:
            break
        if data[start + 1 : start + 3] != _GRAPHIC_CONTROL + b"\4":
            kept.append(data[position:start])
            position = end
    return b"".join([*kept, data[position:]])


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
