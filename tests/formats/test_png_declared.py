"""What a PNG declares of its pixels: header, palette, end. Else the decoder gives another picture, or sees damage."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from imagefeatures import formats, images
from imagefeatures.errors import Rejected
from support.judging import LIMITS, decoded, rgb, why
from support.photos import png_chunk, png_made, png_of
from support.png_files import INDICES, PALETTE, PIXELS, PLAIN, indexed, with_chunk


@pytest.mark.parametrize("count", [1, 2, 16, 255, 256])
def test_a_palette_has_1_to_256_colours(count: int) -> None:
    palette = (np.arange(3 * count) % 256).astype(np.uint8).reshape(-1, 3)
    data = indexed(palette.tobytes(), INDICES % np.uint16(count))
    assert np.array_equal(decoded(data), palette[INDICES % np.uint16(count)])
    assert formats.palette_colours("PNG", data) == count


@pytest.mark.parametrize("size", [0, 1, 2, 4, 767, 769, 771])
def test_a_palette_of_another_size_is_corrupt(size: int) -> None:
    detail = f"PNG of palette colours with {size} bytes of a palette"
    assert why(indexed(bytes(size), INDICES * 0)) == ("CORRUPT", detail)


def test_a_palette_that_is_only_suggested_counts_for_nothing() -> None:
    data = with_chunk(png_chunk(b"PLTE", PALETTE.tobytes()))
    assert np.array_equal(decoded(data), PIXELS)
    assert formats.palette_colours("PNG", data) == 0
    assert formats.palette_colours("PNG", indexed(None)) == 0


def test_palette_colours_need_a_palette() -> None:
    assert np.array_equal(decoded(indexed(PALETTE.tobytes())), PALETTE[INDICES])
    assert why(indexed(None)) == ("CORRUPT", "PNG of palette colours with 0 bytes of a palette")
    assert why(indexed(PALETTE.tobytes()[:-1])) == ("CORRUPT", "PNG of palette colours with 47 bytes of a palette")
    late = with_chunk(png_chunk(b"PLTE", PALETTE.tobytes()), behind=True, data=indexed(None))
    assert why(late) == ("CORRUPT", "PNG of palette colours with 0 bytes of a palette")


def test_a_second_palette_is_corrupt() -> None:
    """The decoder would take the last one, and libpng takes no such file."""
    second = png_chunk(b"PLTE", PALETTE.tobytes())
    data = with_chunk(second, data=indexed(PALETTE[::-1].tobytes()))
    assert why(data) == ("CORRUPT", "PNG of palette colours that has a second palette")
    assert np.array_equal(decoded(with_chunk(second * 2)), PIXELS)  # which are only suggested


@pytest.mark.parametrize(("colour", "needed"), [(0, 2), (2, 6)])
def test_a_transparent_colour_that_is_too_short_is_corrupt(colour: int, needed: int) -> None:
    data = png_of(8, 8, zlib.compress(bytes(8 * (1 + 8 * (3 if colour else 1)))), 8, colour)
    for length in range(needed):
        found = why(with_chunk(png_chunk(b"tRNS", bytes(length)), data=data))
        assert found == ("CORRUPT", f"PNG with {length} bytes of a transparent colour")
    for length in (needed, needed + 3):
        decoded(with_chunk(png_chunk(b"tRNS", bytes(length)), data=data))


def test_a_pixel_behind_the_end_of_the_palette_is_corrupt() -> None:
    stray = INDICES.copy()
    stray[5, 6] = 99
    data = indexed(PALETTE.tobytes(), stray)
    assert images.inspect(data, LIMITS).mode == "P"
    with pytest.raises(Rejected, match="a pixel has colour 99 of a palette of 16") as outside:
        images.decode(data, LIMITS, rgb)
    assert outside.value.reason == "CORRUPT"


def test_a_header_is_the_first_chunk_has_13_bytes_and_comes_once() -> None:
    """Of such files the decoder and the counting of rows might take different headers, and rows would stay black."""
    header = png_chunk(b"IHDR", PLAIN[16:29])
    text = png_chunk(b"tEXt", b"key\0words")
    assert why(PLAIN[:8] + text + PLAIN[8:]) == ("CORRUPT", "PNG that begins with the chunk 'tEXt'")
    assert why(PLAIN[:8] + text * 2 + PLAIN[33:]) == ("CORRUPT", "PNG that begins with the chunk 'tEXt'")
    assert why(with_chunk(header)) == ("CORRUPT", "PNG that has a second header")
    for content in (PLAIN[16:24], PLAIN[16:28], PLAIN[16:29] + b"\0"):
        detail = f"PNG with a header of {len(content)} bytes"
        assert why(PLAIN[:8] + png_chunk(b"IHDR", content) + PLAIN[33:]) == ("CORRUPT", detail)


def test_an_end_chunk_before_the_pixels_is_the_end() -> None:
    """The decoder stops there without an error, and would leave the picture empty."""
    end = png_chunk(b"IEND", b"")
    for data in (with_chunk(end), PLAIN[:33] + end, PLAIN[:33] + png_chunk(b"tIME", bytes(7)) + end):
        assert why(data) == ("TRUNCATED", "PNG without pixels before its end chunk")


def test_an_interlaced_picture_is_read() -> None:
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b"".join(b"\0" + row.tobytes() for x, y, across, down in passes for row in PIXELS[y::down, x::across])
    data = png_made(64, 48, 8, 2, rows, interlaced=True)
    assert np.array_equal(decoded(data), PIXELS)
    header = data[16:28] + b"\2"
    of_a_third_kind = data[:8] + png_chunk(b"IHDR", header) + data[33:]
    assert why(of_a_third_kind) == ("CORRUPT", "PNG of compression 0, filter 0, interlacing 2")


@pytest.mark.parametrize("position", [10, 11, 12])
def test_a_method_that_does_not_exist_is_corrupt(position: int) -> None:
    methods = [3 if position == index else 0 for index in (10, 11, 12)]
    found = "compression {}, filter {}, interlacing {}".format(*methods)
    header = bytearray(PLAIN[16:29])
    header[position] = 3
    data = PLAIN[:8] + png_chunk(b"IHDR", bytes(header)) + PLAIN[33:]
    assert why(data) == ("CORRUPT", f"PNG of {found}")


def test_a_critical_chunk_that_nobody_knows_is_named() -> None:
    detail = "found a PNG image with the critical chunk 'ABCD'"
    assert why(with_chunk(png_chunk(b"ABCD", b""))) == ("UNSUPPORTED_FORMAT", detail)
    apple = PLAIN[:8] + png_chunk(b"CgBI", bytes(4)) + PLAIN[8:]
    assert why(apple) == ("UNSUPPORTED_FORMAT", "found a PNG image as Apple's tools rewrite it (CgBI)")


def test_a_depth_that_a_colour_type_cannot_have_is_corrupt() -> None:
    allowed = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    for colour in range(8):
        for depth in (0, 1, 2, 3, 4, 8, 12, 16, 32):
            if depth not in allowed.get(colour, ()):
                assert why(png_of(8, 8, zlib.compress(bytes(500)), depth, colour))[0] == "CORRUPT"
