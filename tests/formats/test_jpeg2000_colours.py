"""The samples and colours that a JPEG 2000 file declares: which are read, and how the others are named."""

from __future__ import annotations

import struct

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.formats import jpeg2000
from support.jpeg2000_files import GREY, SRGB, SYCC, box, colr, ihdr, jp2, profile, siz, stream


def mode(data: bytes) -> str:
    try:
        jpeg2000.check_mode(data)
    except Rejected as why:
        return str(why)
    return ""


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize(("space", "counts"), [(SRGB, (3, 4)), (GREY, (1, 2)), (SYCC, (3,)), (12, ()), (19, ())])
def test_a_colour_space_has_its_number_of_components(space: int, counts: tuple[int, ...], count: int) -> None:
    code = stream(head=siz(components=b"\7\1\1" * count))
    named = f"UNSUPPORTED_MODE: JPEG 2000 with {count} components in the colour space {space} of ISO/IEC 15444"
    assert mode(jp2(ihdr(count=count), colr(space), code=code)) == ("" if count in counts else named)
    unnamed = f"UNSUPPORTED_MODE: JPEG 2000 with {count} components, and no box that says what they are"
    assert mode(jp2(ihdr(count=count), code=code)) == ("" if count in (1, 3) else unnamed)
    several = jp2(ihdr(count=count), colr(space), colr(99), code=code)  # the first one counts
    assert mode(several) == ("" if count in counts else named)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize(("space", "counts"), [(b"RGB ", (3, 4)), (b"GRAY", (1, 2)), (b"CMYK", ())])
def test_a_colour_profile_has_its_number_of_components(space: bytes, counts: tuple[int, ...], count: int) -> None:
    code = stream(head=siz(components=b"\7\1\1" * count))
    named = f"UNSUPPORTED_MODE: JPEG 2000 with {count} components with a colour profile for {space.decode()!r}"
    assert mode(jp2(ihdr(count=count), profile(space), code=code)) == ("" if count in counts else named)


def test_other_ways_to_name_a_colour_space_are_not_read() -> None:
    for method in (0, 3, 4):
        named = f"UNSUPPORTED_MODE: JPEG 2000 with a colour space of method {method}"
        assert mode(jp2(ihdr(), box(b"colr", bytes([method]) + bytes(30)))) == named


def channels(*each: tuple[int, int, int]) -> bytes:
    return box(b"cdef", len(each).to_bytes(2) + b"".join(struct.pack(">HHH", *channel) for channel in each))


@pytest.mark.parametrize(
    ("count", "each", "is_read"),
    [
        (3, [(0, 0, 1), (1, 0, 2), (2, 0, 3)], True),
        (3, [(2, 0, 3), (0, 0, 1)], True),
        (3, [(0, 0, 2), (1, 0, 1), (2, 0, 3)], False),
        (3, [(2, 1, 0)], False),
        (4, [(0, 0, 1), (1, 0, 2), (2, 0, 3), (3, 1, 0)], True),
        (4, [(3, 1, 0)], True),
        (4, [(3, 0xFFFF, 0xFFFF)], True),
        (4, [(3, 0, 4)], False),
        (2, [(0, 0, 1), (1, 1, 0)], True),
        (2, [(1, 0, 2)], False),
        (2, [(0, 1, 0)], False),
        (1, [(0, 0, 1)], True),
        (1, [(0, 0, 0)], False),
        (3, [], True),
    ],
)
def test_components_are_in_the_order_of_their_colours(
    count: int, each: list[tuple[int, int, int]], is_read: bool
) -> None:
    code = stream(head=siz(components=b"\7\1\1" * count))
    named = "UNSUPPORTED_MODE: JPEG 2000 with components that are not in the order of their colours"
    assert mode(jp2(ihdr(count=count), channels(*each), code=code)) == ("" if is_read else named)


def test_colours_that_were_multiplied_by_their_opacity_are_refused() -> None:
    named = "UNSUPPORTED_MODE: JPEG 2000 with colours that were multiplied by their opacity"
    for count, channel in ((4, (3, 2, 0)), (2, (1, 2, 0)), (4, (3, 2, 1))):
        code = stream(head=siz(components=b"\7\1\1" * count))
        assert mode(jp2(ihdr(count=count), channels(channel), code=code)) == named


def test_without_a_colour_space_the_channels_or_nothing_else_must_say_what_there_is() -> None:
    code = stream(head=siz(components=b"\7\1\1" * 4))
    assert mode(jp2(ihdr(count=4), channels((3, 1, 0)), code=code)) == ""
    elsewhere = box(b"jplh", box(b"cgrp", colr(12)))
    plain = jp2(ihdr(), brand=b"jpx ")
    at = plain.index(b"jp2c") - 4
    named = "UNSUPPORTED_MODE: JPEG 2000 with its colour space in another box (jplh)"
    assert (mode(plain), mode(plain[:at] + elsewhere + plain[at:])) == ("", named)
    declared = jp2(ihdr(), colr(SRGB), brand=b"jpx ")
    at = declared.index(b"jp2c") - 4
    assert mode(declared[:at] + elsewhere + declared[at:]) == ""


# Samples


@pytest.mark.parametrize("depth", [1, 7, 8, 9, 12, 16, 17, 38, 128])
@pytest.mark.parametrize("count", [1, 3])
def test_samples_have_8_bits_and_those_of_grey_up_to_16(count: int, depth: int) -> None:
    found = mode(stream(head=siz(components=bytes([depth - 1, 1, 1]) * count)))
    is_read = depth == 8 or (count == 1 and 8 < depth <= 16)
    what = "1 component" if count == 1 else "3 components"
    assert found == ("" if is_read else f"UNSUPPORTED_MODE: JPEG 2000 with {what} of {depth} bits")
    signed = mode(stream(head=siz(components=bytes([0x80 | depth - 1, 1, 1]) * count)))
    assert signed == "UNSUPPORTED_MODE: JPEG 2000 with samples with a sign"


@pytest.mark.parametrize("steps", [b"\2\1", b"\1\2", b"\2\2", b"\0\1"])
def test_components_have_the_resolution_of_the_picture(steps: bytes) -> None:
    found = mode(stream(head=siz(components=b"\7\1\1" * 2 + b"\7" + steps)))
    assert found == "UNSUPPORTED_MODE: JPEG 2000 with components of less resolution than the picture"


@pytest.mark.parametrize("capabilities", [0, 1, 2, 0x3FFF, 0x4000, 0x8000, 0xC000])
def test_extensions_are_not_read(capabilities: int) -> None:
    found = mode(stream(head=siz(capabilities=capabilities)))
    named = "UNSUPPORTED_FORMAT: found JPEG 2000 with extensions (part 2 or high throughput)"
    assert found == (named if capabilities >= 0x4000 else "")
