"""Sizes and lengths at their limits: what the headers of small, made files say, value by value."""

from __future__ import annotations

import struct
import zlib
from itertools import product

import pytest

from imagefeatures import formats, images
from imagefeatures.errors import Rejected
from imagefeatures.formats import png
from imagefeatures.limits import Limits
from support.photos import encoded, picture, png_chunk, png_of

LIMITS = Limits(max_pixels=2**31)
PASS_OF = ["16462646", "77777777", "56565656", "77777777", "36463646", "77777777", "56565656", "77777777"]
"""The Adam7 pass of each pixel of a tile of 8 × 8, as the PNG specification prints it."""

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = [(1, 0), (2, 3), (4, 0), (8, 3), (8, 0), (16, 0), (8, 2), (16, 2), (8, 4), (16, 4), (8, 6), (16, 6)]


def size_of(kind: str, data: bytes) -> tuple[int, int] | None:
    return formats._PARSERS[kind].size(data)


# PNG


def bytes_of_pixels(width: int, height: int, bits: int, interlaced: bool) -> int:
    """Counted pixel by pixel: each row of each pass has a byte for its filter, and its pixels in whole bytes."""
    total = 0
    for number in "1234567" if interlaced else "1":
        for y in range(height):
            columns = sum(PASS_OF[y % 8][x % 8] == number for x in range(width)) if interlaced else width
            total += 1 + -(-columns * bits // 8) if columns else 0
    return total


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "Adam7"])
@pytest.mark.parametrize(("depth", "colour"), KINDS)
def test_a_png_has_all_of_its_rows_or_is_truncated(depth: int, colour: int, interlaced: bool) -> None:
    for width, height in (*product(range(1, 10), repeat=2), (13, 5), (5, 13), (21, 22)):
        needed = bytes_of_pixels(width, height, depth * CHANNELS[colour], interlaced)

        def made(count: int, size: tuple[int, int] = (width, height)) -> bytes:
            return png_of(*size, zlib.compress(bytes(count)), depth, colour, interlaced)

        png.check_rows(made(needed))
        png.check_rows(made(needed + 1))
        with pytest.raises(Rejected) as short:
            png.check_rows(made(needed - 1))
        detail = f"PNG of {width} × {height} whose pixels end after {needed - 1:,} of {needed:,} bytes"
        assert (short.value.reason, short.value.detail) == ("TRUNCATED", detail)


def test_rows_are_counted_over_all_chunks_and_through_streams_that_grow_a_thousandfold() -> None:
    side = 4000  # sixteen million bytes of a few thousand, in chunks of one byte up to all the rest
    needed = side * (1 + side)
    stream = zlib.compress(bytes(needed - 1), 9)
    whole = zlib.compress(bytes(needed), 9)
    for data, is_whole in ((stream, False), (whole, True)):
        parts = [data[:1], data[1:3], data[3:9000], data[9000:]]
        chunks = b"".join(png_chunk(b"IDAT", part) for part in parts)
        made = png_of(side, side, b"", depth=8)
        at = made.index(b"IDAT") - 4
        file = made[:at] + chunks + made[at + 12 :]
        if is_whole:
            png.check_rows(file)
        else:
            with pytest.raises(Rejected, match=f"end after {needed - 1:,} of {needed:,} bytes"):
                png.check_rows(file)


def test_rows_are_not_counted_in_a_stream_that_cannot_be_inflated() -> None:
    """The decoder reports it."""
    png.check_rows(png_of(8, 8, b"no stream"))
    png.check_rows(png_of(8, 8, zlib.compress(bytes(16))[:-4] + b"\0\0\0\0"))


def test_the_size_of_a_png_is_read_from_a_first_chunk_that_is_a_header() -> None:
    data = png_of(70_000, 3)
    assert size_of("PNG", data[:24]) == size_of("PNG", data) == (70_000, 3)
    assert size_of("PNG", data[:23]) is None
    assert size_of("PNG", data[:8] + png_chunk(b"tEXt", bytes(13)) + data[33:]) is None


# WebP


def webp(chunk: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def lossless(width: int, height: int, rest: int = 0) -> bytes:
    return webp(b"VP8L" + struct.pack("<IBI", 9, 0x2F, (width - 1) | (height - 1) << 14 | rest << 28) + b"\0" * 8)


def lossy(width: int, height: int, scale: int = 0) -> bytes:
    size = struct.pack("<HH", width | scale << 14, height | scale << 14)
    return webp(b"VP8 " + struct.pack("<I", 10) + b"\x10\0\0\x9d\x01\x2a" + size)


def extended(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return webp(b"VP8X" + struct.pack("<I", 10) + b"\0" * 4 + sides)


SIDES = [(1, 1), (1, 2), (2, 1), (255, 256), (256, 255), (4097, 8191), (1, 16383), (16383, 1), (16383, 16383)]


@pytest.mark.parametrize(("width", "height"), SIDES)
def test_the_size_of_a_webp_is_read_from_each_kind_of_first_chunk(width: int, height: int) -> None:
    for data in (
        lossless(width, height),
        lossless(width, height, rest=15),
        lossy(width, height),
        lossy(width, height, scale=3),
        extended(width, height),
    ):
        assert size_of("WEBP", data) == (width, height)
        assert size_of("WEBP", data[:29]) is None
        assert size_of("WEBP", data[:12] + b"XYZ " + data[16:]) is None
    assert size_of("WEBP", lossless(16384, 16384)) == (16384, 16384)
    assert size_of("WEBP", extended(2**24, 70_000)) == (2**24, 70_000)
    assert size_of("WEBP", extended(70_000, 2**24)) == (70_000, 2**24)
    assert size_of("WEBP", lossy(width, height)[:30]) == (width, height)


# BMP


def os2(width: int, height: int, rows: bytes = b"", declared: int | None = None) -> bytes:
    """A BMP of 24 bits with the header of OS/2, which has 12 bytes and sides of 16 bits without a sign."""
    length = 26 + len(rows) if declared is None else declared
    return b"BM" + struct.pack("<IHHI", length, 0, 0, 26) + struct.pack("<IHHHH", 12, width, height, 1, 24) + rows


@pytest.mark.parametrize(("width", "height"), [(1, 2), (2, 1), (300, 200), (32_768, 1), (65_535, 65_534)])
def test_the_size_of_a_bmp_with_the_header_of_os2(width: int, height: int) -> None:
    assert size_of("BMP", os2(width, height)) == (width, height)
    assert size_of("BMP", os2(width, height)[:25]) is None


def test_a_bmp_of_os2_is_an_image() -> None:
    rows = b"\x00\x00\xff\x00\xff\x00\0\0" + b"\xff\x00\x00\xff\xff\xff\0\0"  # blue, green, red; from the bottom
    header = images.inspect(os2(2, 2, rows), LIMITS)
    assert (header.format, header.width, header.height, header.mode) == ("BMP", 2, 2, "RGB")


def test_a_bmp_of_os2_is_refused_for_its_size() -> None:
    with pytest.raises(Rejected, match=r"65535 × 65535 = 4,294,836,225, limits\.max_pixels is 50,000,000"):
        formats.check_header(os2(65_535, 65_535), Limits())


@pytest.mark.parametrize(("width", "height"), [(1, 2), (300, 200), (70_000, 1), (1, 70_000)])
@pytest.mark.parametrize("size_of_header", [40, 52, 108, 124])
def test_the_size_of_a_bmp_with_the_other_headers(width: int, height: int, size_of_header: int) -> None:
    for sign in (1, -1):
        data = b"BM" + bytes(12) + struct.pack("<Iii", size_of_header, width, sign * height) + bytes(40)
        assert size_of("BMP", data) == (width, height)


@pytest.mark.parametrize(("declared", "length", "is_whole"), [(0, 26, True), (25, 26, True), (40, 40, True),
                                                              (40, 39, False), (41, 40, False)])  # fmt: skip
def test_a_bmp_is_as_long_as_its_header_says(declared: int, length: int, is_whole: bool) -> None:
    data = os2(1, 1, bytes(100), declared)[:length]
    if is_whole:
        formats._PARSERS["BMP"].check(data, Limits())
    else:
        with pytest.raises(Rejected, match=f"^TRUNCATED: BMP of {length} bytes, its header declares {declared} bytes$"):
            formats._PARSERS["BMP"].check(data, Limits())


def test_every_file_of_pillow_has_the_size_that_was_drawn() -> None:
    for width, height in ((1, 1), (7, 3), (3, 7), (257, 255)):
        for kind in ("PNG", "WEBP", "BMP", "GIF", "TIFF", "JPEG"):
            assert size_of(kind, encoded(picture(width, height), kind)) == (width, height)
