"""JPEG 2000: what a file declares, what is refused from its bytes, and that its codestream is whole."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from imagefeatures import formats, images
from imagefeatures.errors import Rejected
from imagefeatures.images import inspect
from imagefeatures.limits import Limits
from support.photos import encoded, picture
from support.shared import decode

LIMITS = Limits()
SIDE = 224
SIZE = b"\xff\x51"  # the marker of the segment that describes the picture


def why(data: bytes, judge: Callable[[bytes, Limits], object] = inspect, limits: Limits = LIMITS) -> tuple[str, str]:
    with pytest.raises(Rejected) as rejected:
        judge(data, limits)
    return str(rejected.value.reason), rejected.value.detail


def square(seed: int = 0) -> np.ndarray:
    return picture(SIDE, SIDE, seed)


def jp2(image: np.ndarray | Image.Image | None = None, **options: object) -> bytes:
    return encoded(square() if image is None else image, "JPEG2000", **options)


def grey_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def changed(data: bytes, offset: int, value: bytes) -> bytes:
    """The file with other bytes in its marker segment SIZ. offset: behind the marker."""
    at = data.index(SIZE) + 2 + offset
    return data[:at] + value + data[at + len(value) :]


# Pixels


@pytest.mark.parametrize("no_jp2", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile_size": (64, 50)},
        {"offset": (13, 7), "tile_offset": (3, 5), "tile_size": (60, 70)},
        {"progression": "RPCL", "num_resolutions": 3},
        {"plt": True, "comment": "a comment"},
        {"mct": 1},
    ],
    ids=str,
)
def test_colours_are_those_that_were_written(options: dict[str, object], no_jp2: bool) -> None:
    decoded = decode(jp2(no_jp2=no_jp2, **options), LIMITS)
    assert np.array_equal(decoded.pixels, square())
    assert (decoded.width, decoded.height, decoded.mode) == (SIDE, SIDE, "RGB")


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_grey_and_alpha(mode: str) -> None:
    channels = np.dstack([square(), square(1)[..., 0]])
    image = Image.fromarray(channels, "RGBA") if mode == "RGBA" else Image.fromarray(channels).convert(mode)
    decoded = decode(jp2(image), LIMITS)
    assert decoded.mode == mode
    expected = square() if mode == "RGBA" else grey_rgb(np.asarray(image.getchannel(0)))
    assert np.array_equal(decoded.pixels, expected)


def test_16_bit_grey_is_scaled_and_never_saturated() -> None:
    grey = (np.arange(SIDE * SIDE, dtype=np.uint32) * 65535 // (SIDE * SIDE - 1)).astype(np.uint16).reshape(SIDE, SIDE)
    decoded = decode(jp2(Image.fromarray(grey)), LIMITS)
    assert decoded.mode == "I;16"
    assert np.array_equal(decoded.pixels, grey_rgb(np.floor(grey / 257 + 0.5).astype(np.uint8)))


WHITE_OF_12_BITS = base64.b64decode(
    "/0//UQAvAAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAADCwEBCwEBCwEB/1IADAAAAAEBAAQEAAH/XAAEQGD/ZAAl"
    "AAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjD/kAAKAAAAAAAYAAH/k8/kFBQAXK+HgID/2Q=="
)
"""8 × 8 pixels of three components, each 4095, by OpenJPEG 2.5: opj_compress -F 8,8,3,12,u -i white.raw -n 1."""


def test_colours_of_12_bits_are_black_in_pillow_where_they_are_white() -> None:
    """If this fails, Pillow has learned it: read them."""
    with Image.open(io.BytesIO(WHITE_OF_12_BITS)) as image:
        assert not np.asarray(image).any()
    assert why(WHITE_OF_12_BITS) == ("UNSUPPORTED_MODE", "JPEG 2000 with 3 components of 12 bits")


# What is refused from the bytes


@pytest.mark.parametrize("no_jp2", [False, True])
def test_a_picture_that_is_too_large_is_refused_before_pillow_opens_it(
    no_jp2: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = changed(jp2(no_jp2=no_jp2), 4, struct.pack(">II", 16_000, 16_000))
    data = data.replace(b"ihdr" + struct.pack(">II", SIDE, SIDE), b"ihdr" + struct.pack(">II", 16_000, 16_000))
    monkeypatch.delattr(images.Image, "open")
    detail = "16000 × 16000 = 256,000,000, limits.max_pixels is 50,000,000"
    for judge in (inspect, decode, formats.check_header):
        assert why(data, judge) == ("TOO_MANY_PIXELS", detail)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def with_box(kind: bytes, content: bytes, data: bytes) -> bytes:
    """A JP2 file with one more box in its header, behind ihdr."""
    at = data.index(b"jp2h") - 4
    end = data.index(b"ihdr") - 4 + 22
    added = box(kind, content)
    size = int.from_bytes(data[at : at + 4]) + len(added)
    return data[:at] + size.to_bytes(4) + data[at + 4 : end] + added + data[end:]


def channels(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack(">H", len(entries)) + b"".join(struct.pack(">HHH", *entry) for entry in entries)


def profile(space: bytes) -> bytes:
    return b"\2\0\0" + bytes(16) + space + bytes(108)


def codestream(components: int, each: bytes) -> bytes:
    """A codestream whose header declares other components than are in it."""
    data = jp2(no_jp2=True)
    at = data.index(SIZE)
    start, rest = data[: at + 2], data[at + 2 + int.from_bytes(data[at + 2 : at + 4]) :]
    sides = data[at + 4 : at + 38]
    return (
        start
        + struct.pack(">H", 38 + 3 * components)
        + sides
        + struct.pack(">H", components)
        + each * components
        + rest
    )


UNSUPPORTED = {
    "colours of 12 bits": (lambda: codestream(3, b"\x0b\1\1"), "3 components of 12 bits"),
    "colours of 16 bits": (lambda: codestream(3, b"\x0f\1\1"), "3 components of 16 bits"),
    "colours of 4 bits": (lambda: codestream(3, b"\3\1\1"), "3 components of 4 bits"),
    "grey of 4 bits": (lambda: codestream(1, b"\3\1\1"), "1 component of 4 bits"),
    "grey of 1 bit": (lambda: codestream(1, b"\0\1\1"), "1 component of 1 bits"),
    "grey of 24 bits": (lambda: codestream(1, b"\x17\1\1"), "1 component of 24 bits"),
    "signed samples": (lambda: codestream(3, b"\x87\1\1"), "samples with a sign"),
    "components of half the resolution": (lambda: changed(jp2(), 41, b"\7\2\2"), "less resolution than the picture"),
    "components of several depths": (lambda: changed(jp2(), 41, b"\x0b\1\1"), "3 components of 8, 12 bits"),
    "five components": (lambda: codestream(5, b"\7\1\1"), "5 components of 8 bits"),
    "four components without a box": (lambda: codestream(4, b"\7\1\1"), "4 components, and no box"),
    "two components without a box": (lambda: codestream(2, b"\7\1\1"), "2 components, and no box"),
    "CMYK": (
        lambda: jp2(Image.fromarray(np.dstack([square(), square()[..., :1]]), "RGBA")).replace(
            b"colr\1\0\0\0\0\0\x10", b"colr\1\0\0\0\0\0\x0c"
        ),
        "4 components in the colour space 12",
    ),
    "Lab": (lambda: jp2().replace(b"colr\1\0\0\0\0\0\x10", b"colr\1\0\0\0\0\0\x0e"), "in the colour space 14"),
    "grey of three components": (
        lambda: jp2().replace(b"colr\1\0\0\0\0\0\x10", b"colr\1\0\0\0\0\0\x11"),
        "3 components in the colour space 17",
    ),
    "a profile for CMYK": (lambda: with_box(b"colr", profile(b"CMYK"), jp2()), "a colour profile for 'CMYK'"),
    "a profile for grey": (lambda: with_box(b"colr", profile(b"GRAY"), jp2()), "3 components with a colour profile"),
    "a colour space of JPX": (lambda: with_box(b"colr", b"\3\0\0" + bytes(16), jp2()), "colour space of method 3"),
    "a palette": (lambda: with_box(b"pclr", b"\0\1\3\7\7\7\1\2\3", jp2()), "a palette"),
    "blue before red": (
        lambda: with_box(b"cdef", channels((0, 0, 3), (1, 0, 2), (2, 0, 1)), jp2()),
        "not in the order of their colours",
    ),
    "alpha before the colours": (
        lambda: with_box(b"cdef", channels((0, 1, 0), (1, 0, 1), (2, 0, 2)), jp2()),
        "not in the order of their colours",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_pillow_does_not_read_right_is_refused_from_the_header(name: str) -> None:
    make, detail = UNSUPPORTED[name]
    for judge in (inspect, decode):
        reason, found = why(make(), judge)
        assert reason == "UNSUPPORTED_MODE"
        assert detail in found


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"cdef", channels((0, 0, 1), (1, 0, 2), (2, 0, 3))),
        (b"colr", profile(b"RGB ")),
        (b"colr", b"\1\0\0\0\0\0\x10"),
        (b"res ", box(b"resc", struct.pack(">HHHHBB", 300, 1, 300, 1, 2, 2))),
    ],
    ids=["colours in order", "a profile for RGB", "a second colour space", "resolution"],
)
def test_boxes_that_change_nothing_change_nothing(kind: bytes, content: bytes) -> None:
    assert np.array_equal(decode(with_box(kind, content, jp2()), LIMITS).pixels, square())


@pytest.mark.parametrize("capabilities", [0x8000, 0x4000])
def test_other_parts_of_the_standard_are_not_supported(capabilities: int) -> None:
    data = changed(jp2(no_jp2=True), 2, capabilities.to_bytes(2))
    assert why(data)[0] == "UNSUPPORTED_FORMAT"


@pytest.mark.parametrize("field", [b"\0\0\0\xe1\0\0\0\xe0", b"\0\0\0\xe0\0\0\0\xe1"])
def test_boxes_that_contradict_the_codestream_are_corrupt(field: bytes) -> None:
    data = jp2().replace(b"ihdr" + struct.pack(">II", SIDE, SIDE), b"ihdr" + field)
    reason, detail = why(data)
    assert reason == "CORRUPT"
    assert "224 × 224" in detail


# Completeness


def parts(data: bytes) -> list[tuple[int, int]]:
    """(start, end) of each tile-part."""
    found, at = [], data.index(b"\xff\x90\0\x0a")
    while data[at : at + 2] == b"\xff\x90":
        length = int.from_bytes(data[at + 6 : at + 10])
        found.append((at, at + length))
        at += length
    return found


def test_a_tile_that_is_missing_is_not_left_black() -> None:
    whole = jp2(no_jp2=True, tile_size=(64, 64))
    start, end = parts(whole)[5]
    data = whole[:start] + whole[end:]
    with Image.open(io.BytesIO(data)) as image:
        try:
            image.load()
        except OSError:
            pytest.fail("Pillow sees that a tile is missing: this check is no longer needed")
    assert why(data) == (
        "TRUNCATED",
        f"JPEG 2000 of {len(data):,} bytes whose codestream is cut: it has 15 of 16 tiles",
    )


def test_a_last_part_of_unknown_length_ends_at_the_end_marker() -> None:
    whole = jp2(no_jp2=True)
    start, _ = parts(whole)[-1]
    data = whole[: start + 6] + bytes(4) + whole[start + 10 :]
    assert np.array_equal(decode(data, LIMITS).pixels, square())
    assert inspect(data, LIMITS).width == SIDE
    assert why(data[:-2])[0] == "TRUNCATED"


def test_a_codestream_box_up_to_the_end_of_the_file() -> None:
    whole = jp2()
    at = whole.index(b"jp2c") - 4
    data = whole[:at] + bytes(4) + whole[at + 4 :]
    assert np.array_equal(decode(data, LIMITS).pixels, square())
    assert {why(data[:cut])[0] for cut in range(at + 8, len(data), 997)} == {"TRUNCATED"}


def test_bytes_between_the_parts_are_corrupt() -> None:
    whole = jp2(no_jp2=True, tile_size=(112, 112))
    _, end = parts(whole)[1]
    assert why(whole[:end] + b"junk" + whole[end:])[0] == "CORRUPT"


# Metadata


def test_metadata_is_counted() -> None:
    whole = jp2()
    data = whole + box(b"xml ", b"<x>" + b" " * 2**20 + b"</x>")
    assert np.array_equal(decode(data, LIMITS).pixels, square())
    assert inspect(data, LIMITS).width == SIDE
    assert why(data, limits=Limits(max_metadata_bytes=2**20))[0] == "METADATA_TOO_LARGE"
    comment = b"\xff\x64" + struct.pack(">HH", 65_000, 1) + b"x" * 64_996
    at = whole.index(b"\xff\x90\0\x0a")
    jp2c = whole.index(b"jp2c") - 4
    size = int.from_bytes(whole[jp2c : jp2c + 4]) + 20 * len(comment)
    data = whole[:jp2c] + size.to_bytes(4) + whole[jp2c + 4 : at] + comment * 20 + whole[at:]
    assert np.array_equal(decode(data, LIMITS).pixels, square())
    assert why(data, limits=Limits(max_metadata_bytes=2**20))[0] == "METADATA_TOO_LARGE"
