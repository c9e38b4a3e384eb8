"""The chunks of a WebP: metadata counted to the byte, and the first frame of an animation held against its canvas."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest

from imagefeatures.errors import Rejected
from imagefeatures.formats import webp
from imagefeatures.limits import Limits
from support.judging import decoded
from support.photos import encoded, picture

STILL, ANIMATED = 0x2C, 0x2E
"""Flags of the first chunk: profile, EXIF, XMP, and that it is an animation."""

EXIF = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x9C9B, 1, 30, 8, 0)
"""One tag that claims 30 of the block's 26 bytes."""


def chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def made(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def first(flags: int, width: int = 64, height: int = 48) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides)


def frame(left: int, top: int, width: int, height: int, rest: bytes = b"") -> bytes:
    numbers = (left // 2, top // 2, width - 1, height - 1)
    return chunk(b"ANMF", b"".join(number.to_bytes(3, "little") for number in numbers) + bytes(4) + rest)


PIXELS = [chunk(kind, bytes(5)) for kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")]
COUNTED = {
    "nothing but pixels": ([], 0),
    "a profile": ([chunk(b"ICCP", bytes(100))], 108),
    "one of an odd length": ([chunk(b"ICCP", bytes(101)), chunk(b"XMP ", bytes(3))], 109 + 11),
    "a chunk that nobody knows": ([chunk(b"abcd", bytes(7))], 15),
    "a chunk of no byte": ([chunk(b"XMP ", b"")], 8),
    "EXIF, with the tags that it claims": ([chunk(b"EXIF", EXIF)], 8 + 26 + 26),
    "tags in another chunk": ([chunk(b"XMP ", EXIF)], 8 + 26),
}


@pytest.mark.parametrize("name", COUNTED)
def test_metadata_are_counted_to_the_byte(name: str) -> None:
    chunks, count = COUNTED[name]
    last = chunk(b"last", b"")
    for data in (made(first(STILL), *chunks, *PIXELS, last), made(first(STILL), *PIXELS, *chunks, last)):
        webp.check(data, Limits(max_metadata_bytes=count + 8))
        with pytest.raises(Rejected) as much:
            webp.check(data, Limits(max_metadata_bytes=count + 7))
        found = f"WebP with {count + 8} bytes of metadata or more, {count + 7} are allowed (limits.max_metadata_bytes)"
        assert (much.value.reason, much.value.detail) == ("METADATA_TOO_LARGE", found)


def test_what_is_appended_to_a_file_is_no_metadata_of_it() -> None:
    data = made(first(STILL), *PIXELS)
    webp.check(data + chunk(b"XMP ", bytes(100)), Limits(max_metadata_bytes=1))


def test_a_file_is_as_long_as_its_header_says() -> None:
    data = made(first(STILL), *PIXELS)
    webp.check(data, Limits())
    detail = f"WebP of {len(data) - 1} bytes, its header declares {len(data)} bytes"
    with pytest.raises(Rejected) as cut:
        webp.check(data[:-1], Limits())
    assert (cut.value.reason, cut.value.detail) == ("TRUNCATED", detail)


COVERING = [frame(0, 0, 64, 48), frame(0, 0, 64, 48, bytes(9))]
LEAVING = [(2, 0, 64, 48), (0, 2, 64, 48), (0, 0, 63, 48), (0, 0, 64, 47), (0, 0, 65, 48), (6, 8, 20, 10)]


@pytest.mark.parametrize("before", [b"", chunk(b"ICCP", bytes(31)), chunk(b"ANMF", bytes(15))])
def test_the_first_frame_must_cover_its_canvas(before: bytes) -> None:
    later = frame(2, 4, 6, 8)
    for whole in COVERING:
        webp.check_mode(made(first(ANIMATED), before, whole, later))
    for place in LEAVING:
        detail = f"a WebP whose first frame, {place[2]} × {place[3]}, leaves out parts of 64 × 48 is not read"
        with pytest.raises(Rejected) as refused:
            webp.check_mode(made(first(ANIMATED), before, frame(*place), COVERING[0]))
        assert (refused.value.reason, refused.value.detail) == ("UNSUPPORTED_MODE", detail)


def lossless(width: int, height: int) -> bytes:
    return chunk(b"VP8L", b"\x2f" + (width - 1 | height - 1 << 14).to_bytes(4, "little") + bytes(9))


def lossy(width: int, height: int) -> bytes:
    return chunk(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(9))


@pytest.mark.parametrize("pixels", [lossless, lossy])
@pytest.mark.parametrize("before", [b"", chunk(b"ALPH", bytes(7)), chunk(b"abcd", bytes(8)) + chunk(b"ALPH", b"")])
def test_the_first_frame_has_as_many_pixels_as_it_says(pixels: Callable[[int, int], bytes], before: bytes) -> None:
    """The decoder would leave those around them black."""
    webp.check_mode(made(first(ANIMATED), frame(0, 0, 64, 48, before + pixels(64, 48)), frame(2, 4, 6, 8)))
    for sides in ((63, 48), (64, 47), (20, 10), (65, 48)):
        with pytest.raises(Rejected) as refused:
            webp.check_mode(made(first(ANIMATED), frame(0, 0, 64, 48, before + pixels(*sides))))
        detail = f"WebP whose first frame holds pixels of {sides[0]} × {sides[1]}, and says 64 × 48"
        assert (refused.value.reason, refused.value.detail) == ("CORRUPT", detail)
    for length in range(len(before) + 8):
        webp.check_mode(made(first(ANIMATED), frame(0, 0, 64, 48, (before + pixels(20, 10))[:length])))


def test_what_looks_like_a_frame_is_none_in_a_picture_that_is_no_animation() -> None:
    stray = frame(2, 4, 6, 8)
    webp.check_mode(made(first(STILL), stray))
    for length in range(31):
        webp.check_mode(made(first(ANIMATED), stray)[:length])
    for options in ({"lossless": True}, {"quality": 90}):
        data = encoded(picture(), "WEBP", **options)
        appended = made(data[12:], stray)
        webp.check_mode(appended)
        assert np.array_equal(decoded(appended), decoded(data))
