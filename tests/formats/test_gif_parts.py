"""The parts of a GIF, byte by byte: its screen and first image, palettes, extensions, blocks and trailer."""

from __future__ import annotations

import struct

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.formats import gif
from imagefeatures.limits import Limits

TRAILER, BLOCKS = b";", b"\3abc\2de\0"
COMMENT, WORDS = b"!\xfe", b"\5words\4more\0"
COLOURS = bytes(range(6))


def screen(width: int, height: int, palette: bytes = b"", background: int = 0) -> bytes:
    """A screen, with 2, 4, … or 256 colours, or none."""
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes([_flags(palette), background, 0]) + palette


def image(left: int, top: int, width: int, height: int, palette: bytes = b"") -> bytes:
    return b"," + struct.pack("<HHHH", left, top, width, height) + bytes([_flags(palette)]) + palette + b"\x08" + BLOCKS


def control(flags: int) -> bytes:
    """The extension that says, by its lowest bit, whether a colour is transparent."""
    return b"!\xf9\4" + bytes([flags, 0, 0, 0, 0])


def _flags(palette: bytes) -> int:
    return (0x80 | (len(palette) // 3).bit_length() - 2) if palette else 0


@pytest.mark.parametrize(
    ("place", "size"),
    [
        ((0, 0, 300, 200), (300, 200)),
        ((0, 0, 301, 200), (301, 200)),
        ((0, 0, 300, 201), (300, 201)),
        ((290, 0, 20, 7), (310, 200)),
        ((0, 190, 7, 300), (300, 490)),
        ((257, 258, 259, 260), (516, 518)),
    ],
)
def test_a_screen_grows_with_its_first_image_alone(place: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    for palette in (b"", COLOURS, bytes(768)):
        for before in (b"", control(1), COMMENT + WORDS, b"\7", b"\0\7"):  # bytes between the parts are skipped
            data = screen(300, 200, palette) + before + image(*place, palette) + image(0, 0, 9999, 9999) + TRAILER
            assert gif.size(data) == size


def test_the_size_of_a_gif_is_that_of_its_screen_where_no_image_is_there() -> None:
    data = screen(300, 200, COLOURS)
    assert gif.size(data) == gif.size(data[:10]) == gif.size(data + TRAILER + image(0, 0, 999, 999)) == (300, 200)
    assert gif.size(data[:9]) is None


@pytest.mark.parametrize("count", [2, 4, 8, 16, 32, 64, 128, 256])
def test_the_palette_is_that_of_the_first_image_or_of_the_screen(count: int) -> None:
    palette, two = bytes(3 * count), bytes(6)
    assert gif.palette_colours(screen(9, 9, palette) + image(0, 0, 9, 9)) == count
    assert gif.palette_colours(screen(9, 9, two) + image(0, 0, 9, 9, palette)) == count
    assert gif.palette_colours(screen(9, 9) + image(0, 0, 9, 9, palette) + image(0, 0, 9, 9, two)) == count
    assert gif.palette_colours(screen(9, 9, palette) + TRAILER) == count
    assert gif.palette_colours(screen(9, 9) + image(0, 0, 9, 9)) == gif.palette_colours(b"GIF89a") == 0
    other_flags = screen(9, 9)[:10] + b"\x7f\0\0" + image(0, 0, 9, 9)
    assert gif.palette_colours(other_flags) == 0
    assert gif.size(other_flags) == (9, 9)


# The screen around the first image

WHOLE, PART = (0, 0, 20, 10), (5, 0, 15, 10)
OTHER = bytes(range(100, 112))


def refused(data: bytes) -> bool:
    try:
        gif.check_mode(data + TRAILER)
    except Rejected as why:
        assert why.reason == "UNSUPPORTED_MODE"
        assert "leaves out parts of 20 × 10 is only read where the colour around it is the first" in why.detail
        return True
    return False


@pytest.mark.parametrize("place", [(1, 0, 20, 10), (0, 1, 20, 10), (0, 0, 19, 10), (0, 0, 20, 9), (0, 0, 19, 9), PART])
def test_an_image_that_leaves_parts_of_the_screen_out_needs_the_first_colour_around_it(
    place: tuple[int, int, int, int],
) -> None:
    assert not refused(screen(20, 10, OTHER) + image(*place))
    for index in range(1, 4):
        assert refused(screen(20, 10, OTHER, index) + image(*place))
        assert not refused(screen(20, 10, OTHER, index) + image(*place, OTHER[3 * index : 3 * index + 3] + COLOURS[:3]))
    assert refused(screen(20, 10, OTHER) + image(*place, COLOURS))
    assert refused(screen(20, 10) + image(*place, COLOURS))  # no background is declared
    assert refused(screen(20, 10, OTHER, 4) + image(*place))


@pytest.mark.parametrize("place", [WHOLE, (0, 0, 21, 10), (0, 0, 20, 11)])
def test_around_an_image_that_covers_the_screen_there_is_no_colour(place: tuple[int, int, int, int]) -> None:
    assert not refused(screen(20, 10, OTHER, 1) + image(*place))
    assert not refused(screen(20, 10) + image(*place, COLOURS))


def test_a_transparent_colour_is_around_the_image_where_its_control_says_so() -> None:
    head, tail = screen(20, 10, OTHER, 1), image(*PART)
    assert not refused(head + control(1) + tail)
    assert not refused(head + control(0xFF) + tail)
    assert refused(head + control(0) + tail)
    assert refused(head + control(0xFE) + tail)
    assert refused(head + control(1) + control(0) + tail)  # the last one counts
    assert not refused(head + control(1) + COMMENT + WORDS + tail)
    assert refused(head + COMMENT + b"\4\1\1\1\1\0" + tail)
    assert refused(head + tail + control(1) + image(*WHOLE))
    assert refused(head + b"!\xf9\0" + tail)
    assert refused(head + image(0xF9, 1, 20, 10))  # a place is no control
    whole = head + control(1) + tail
    for length in range(len(whole)):
        gif.check_mode(whole[:length])


def test_a_gif_without_a_palette_is_refused_once_its_descriptor_is_there() -> None:
    data = screen(20, 10) + image(*WHOLE)
    with pytest.raises(Rejected, match="a GIF without a palette is not read"):
        gif.check_mode(data[: 13 + 10])
    for length in range(13 + 10):
        gif.check_mode(data[:length])
    gif.check_mode(screen(20, 10) + TRAILER)


# Metadata


def test_extensions_are_counted_to_the_byte() -> None:
    head, tail = screen(20, 10, COLOURS), image(*WHOLE) + TRAILER
    extension = COMMENT + WORDS
    assert len(extension) == 14
    for data, count in (
        (head + extension + tail, 14),
        (head + control(1) + tail, 8),
        (head + extension + control(0) + tail, 22),
        (head + image(*WHOLE) + extension + extension + tail, 28),
        (head + image(*WHOLE) + extension + TRAILER, 14),
        (head + COMMENT + b"\0" + tail, 3),
        (head + tail + extension * 9, 0),  # behind the trailer
    ):
        counted = data[: len(head)] + b"!\xfe\1x\0" + data[len(head) :]
        gif.check(counted, Limits(max_metadata_bytes=count + 5))
        with pytest.raises(Rejected) as much:
            gif.check(counted, Limits(max_metadata_bytes=count + 4))
        assert much.value.reason == "METADATA_TOO_LARGE"
        assert much.value.detail.endswith(f" {count + 4} are allowed (limits.max_metadata_bytes)")


def test_a_gif_is_whole_with_its_trailer() -> None:
    data = screen(20, 10, COLOURS) + control(1) + image(*WHOLE, OTHER) + COMMENT + WORDS + image(*PART) + TRAILER
    gif.check(data, Limits())
    gif.check(data.replace(TRAILER, b"\0\xff" + TRAILER), Limits())  # bytes that begin no part are skipped
    for length in range(len(data)):
        with pytest.raises(Rejected) as cut:
            gif.check(data[:length], Limits())
        assert (cut.value.reason, cut.value.detail) == ("TRUNCATED", f"GIF of {length} bytes without its trailer")


def test_without_metadata_a_gif_keeps_what_says_which_colour_is_transparent() -> None:
    head, rest = screen(20, 10, COLOURS), image(*WHOLE) + COMMENT + WORDS + image(*PART) + TRAILER
    loop = b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0"
    short = b"!\xf9\1\1\0"  # a control that is too short to be one
    data = head + COMMENT + WORDS + control(1) + loop + b"\7" + short + COMMENT + b"\0" + rest
    assert gif.without_metadata(data) == head + control(1) + rest
    assert gif.without_metadata(head + control(1) + rest) == head + control(1) + rest
    assert gif.without_metadata(head + TRAILER) == head + TRAILER
