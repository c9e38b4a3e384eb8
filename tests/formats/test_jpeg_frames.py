"""What the frame and the scans of a JPEG declare: its coding, depth, components, height, colours and completeness."""

from __future__ import annotations

import base64
import re
import struct

import numpy as np
import pytest
from PIL import Image

from imagefeatures import images
from imagefeatures.errors import Rejected
from support.judging import LIMITS, decoded, rgb, why
from support.photos import encoded, picture

PIXELS = picture()
BASELINE, ARITHMETIC = b"\xff\xc0", b"\xff\xc9"

# Of picture(16, 16) at quality 60, by jpegtran of libjpeg-turbo: Pillow writes no arithmetic coding.
SEQUENTIAL = base64.b64decode(
    b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxO"
    b"UlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09P"
    b"T09PT09PT0//yQARCAAQABADASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD+izam3tsniD1ktKEbVn6WWGONmfGL"
    b"4y2+rUAYAypc5Z6WOHfPrPNCF82hC8Q1U/jg1c/dyHKckJmytzLGN5slGKaJlQpqdODb7qatbTlqSib+y6j8tFRljvWrAv/Z"
)
PROGRESSIVE = base64.b64decode(
    b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxO"
    b"UlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09P"
    b"T09PT09PT0//ygARCAAQABADASIAAhEBAxEB/8wABgAQARD/2gAMAwEAAhADEAAAAfz9kUTNxv/MAAQQBf/aAAgBAQABBQIa5h9/"
    b"UDnCxNcgKsuA/8wABBEF/9oACAEDAQE/AUpaEID/zAAEEQX/2gAIAQIBAT8BFzUy4P/MAAQQBf/aAAgBAQAGPwIQjoZ+VexN8P/M"
    b"AAQQBf/aAAgBAQABPyGsqhuCZtht4smcyrnfvSD/2gAMAwEAAgADAAAAEID/zAAEEQX/2gAIAQMBAT8Q0nYQ/8wABBEF/9oACAEC"
    b"AQE/EGZrIP/MAAQQBf/aAAgBAQABPxCoSf5317R/qeTltAuJkwoRi2DSpBUvzCFrbBZew+D/2Q=="
)


def frame_at(data: bytes) -> int:
    """The position of the frame's marker."""
    return next(match.start() for match in re.finditer(rb"\xff[\xc0\xc2]\0\x11|\xff[\xc0\xc2]\0[\x0b\x14]", data))


def with_bytes(data: bytes, start: int, value: bytes) -> bytes:
    return data[:start] + value + data[start + len(value) :]


@pytest.mark.parametrize("data", [SEQUENTIAL, PROGRESSIVE], ids=["sequential", "progressive"])
def test_arithmetic_coding_is_read(data: bytes) -> None:
    assert np.array_equal(decoded(data), decoded(encoded(picture(16, 16), quality=60)))


@pytest.mark.parametrize("data", [SEQUENTIAL, PROGRESSIVE], ids=["sequential", "progressive"])
@pytest.mark.parametrize("behind", [1, 9, 25])
def test_arithmetic_coding_is_read_though_pillow_gets_the_file_in_pieces(data: bytes, behind: int) -> None:
    """Its decoder cannot stop in a scan to wait for the next piece, of 64 KiB each."""
    scan = data.rindex(b"\xff\xda") + 2
    filled = 65_536 - (scan + int.from_bytes(data[scan : scan + 2])) - behind
    longer = data[:2] + b"\xff" * filled + data[2:]  # any number of them may stand before a marker
    assert longer[65_536 - behind :] == data[scan + int.from_bytes(data[scan : scan + 2]) :]
    assert np.array_equal(decoded(longer), decoded(data))


def test_a_coding_that_is_not_read_is_named() -> None:
    data = encoded(PIXELS)
    start = frame_at(data)
    found = {
        "lossless": why(with_bytes(data, start + 1, b"\xc3")),
        "lossless, arithmetic": why(with_bytes(data, start + 1, b"\xcb")),
        "12 bits": why(with_bytes(with_bytes(data, start + 1, b"\xc1"), start + 4, b"\x0c")),
        "hierarchical": why(with_bytes(data, start + 1, b"\xc5")),
    }
    assert found == {
        "lossless": ("UNSUPPORTED_FORMAT", "found a lossless JPEG image, which is not read"),
        "lossless, arithmetic": ("UNSUPPORTED_FORMAT", "found a lossless JPEG image, which is not read"),
        "12 bits": ("UNSUPPORTED_FORMAT", "found a JPEG image of 12 bits a sample, only 8 are read"),
        "hierarchical": ("UNSUPPORTED_FORMAT", "found a hierarchical JPEG image (SOF5), which is not read"),
    }


def test_a_height_behind_the_pixels_is_named() -> None:
    data = encoded(PIXELS)
    unknown = with_bytes(data, frame_at(data) + 5, b"\0\0")
    behind = unknown[:-2] + b"\xff\xdc\0\x04" + struct.pack(">H", 48) + unknown[-2:]
    detail = "found a JPEG image whose height, 48 rows, stands after its pixels (DNL), where it is not read"
    assert why(behind) == ("UNSUPPORTED_FORMAT", detail)
    assert why(unknown)[0] == "CORRUPT"  # nothing says how high it is
    with pytest.raises(Rejected) as cut:
        images.inspect(behind[:-10], LIMITS)
    assert cut.value.reason == "TRUNCATED"


def flat(sampling: list[tuple[int, int]], size: tuple[int, int]) -> bytes:
    """A whole baseline JPEG of grey, of such components: each block is the two codes of "as before" and "nothing".

    sampling: across and down, of each component. size: width and height.
    """
    (width, height), names = size, range(1, len(sampling) + 1)
    across, down = (max(factors) for factors in zip(*sampling, strict=True))
    units = -(-width // (8 * across)) * -(-height // (8 * down))
    blocks = sum(each * other for each, other in sampling) if len(sampling) > 1 else 1
    codes = units * blocks * 2  # of one bit each, 0
    pixels = bytes(codes // 8) + (bytes([0xFF >> codes % 8]) if codes % 8 else b"")
    parts = {
        0xDB: b"\0" + b"\1" * 64,
        0xC0: struct.pack(">BHHB", 8, height, width, len(names))
        + b"".join(bytes([name, each << 4 | other, 0]) for name, (each, other) in zip(names, sampling, strict=True)),
        0xC4: b"\0\1" + bytes(15) + b"\0" + b"\x10\1" + bytes(15) + b"\0",
        0xDA: bytes([len(names)]) + b"".join(bytes([name, 0]) for name in names) + b"\0\x3f\0",
    }
    segments = (bytes([0xFF, marker]) + struct.pack(">H", 2 + len(part)) + part for marker, part in parts.items())
    return b"\xff\xd8" + b"".join(segments) + pixels + b"\xff\xd9"


@pytest.mark.parametrize(
    "sampling", [[(1, 1)], [(2, 2), (1, 1), (1, 1)], [(2, 3), (1, 1), (2, 1)], [(4, 1), (2, 1), (1, 1)]]
)
def test_components_may_have_any_whole_part_of_the_resolution(sampling: list[tuple[int, int]]) -> None:
    found = decoded(flat(sampling, (50, 30)))
    assert found.shape == (30, 50, 3)
    assert set(np.unique(found)) == {128}


@pytest.mark.parametrize(
    ("sampling", "words"),
    [
        ([(3, 1), (2, 1), (1, 1)], "3 × 1, 2 × 1, 1 × 1"),
        ([(1, 3), (1, 2), (1, 1)], "1 × 3, 1 × 2, 1 × 1"),
        ([(3, 1), (1, 1), (2, 1)], "3 × 1, 1 × 1, 2 × 1"),
        ([(1, 1), (4, 1), (3, 1)], "1 × 1, 4 × 1, 3 × 1"),
    ],
)
def test_components_of_which_a_pixel_covers_parts_of_others_are_named(
    sampling: list[tuple[int, int]], words: str
) -> None:
    detail = f"a JPEG whose components are sampled {words} is only read where each divides the largest"
    assert why(flat(sampling, (50, 30))) == ("UNSUPPORTED_MODE", detail)


@pytest.mark.parametrize("factors", [b"\x51", b"\x10", b"\x01"])
def test_a_sampling_that_no_file_may_have_is_corrupt(factors: bytes) -> None:
    data = flat([(3, 1), (2, 1), (1, 1)], (50, 30))
    with pytest.raises(Rejected) as refused:
        images.decode(with_bytes(data, frame_at(data) + 11, factors), LIMITS, rgb)
    assert refused.value.reason == "CORRUPT"


def test_a_side_that_the_format_allows_and_the_decoder_does_not_is_named() -> None:
    assert decoded(flat([(1, 1)], (65_500, 2))).shape == (2, 65_500, 3)
    for size, words in (((65_501, 2), "65,501 × 2"), ((2, 65_535), "2 × 65,535")):
        detail = f"found a JPEG image of {words} pixels, no side above 65,500 is read"
        assert why(flat([(1, 1)], size)) == ("UNSUPPORTED_FORMAT", detail)


def test_jpeg_ls_is_another_format() -> None:
    """In its pixels 255 may be followed by what is a marker in a JPEG."""
    frame = b"\xff\xf7\0\x0b\x0c\0\x20\0\x40\1\1\x11\0"
    data = b"\xff\xd8" + frame + b"\xff\xda\0\x08\1\1\0\0\0\0" + b"\xff\x20\xff\x7f\1" + b"\xff\xd9"
    assert why(data) == ("UNSUPPORTED_FORMAT", "found a JPEG-LS image, which is not read")
    assert why(data[:-8]) == ("UNSUPPORTED_FORMAT", "found a JPEG-LS image, which is not read")


def test_two_components_are_no_known_colours() -> None:
    data = encoded(PIXELS, subsampling=0)
    start = frame_at(data)
    two = (
        data[: start + 2] + struct.pack(">H", 14) + data[start + 4 : start + 9] + b"\2" + data[start + 10 : start + 16]
    )
    assert why(two + data[start + 19 :]) == (
        "UNSUPPORTED_MODE",
        "a JPEG of 2 components is not read, only of 1, 3 or 4",
    )


def test_inks_without_a_word_of_what_they_are_are_refused() -> None:
    four = Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]]), "CMYK")
    data = encoded(four)
    adobe = data.index(b"\xff\xee\0\x0eAdobe")
    assert decoded(data).shape == (48, 64, 3)
    assert why(data[:adobe] + data[adobe + 16 :]) == (
        "UNSUPPORTED_MODE",
        "a JPEG of 4 components with no Adobe marker does not say what its inks are",
    )
    assert why(with_bytes(data, adobe + 15, b"\1")) == (
        "UNSUPPORTED_MODE",
        "a JPEG of 4 components with an Adobe marker with transform 1 does not say what its inks are",
    )


def test_rgb_is_known_by_its_marker_and_by_its_components() -> None:
    data = encoded(PIXELS, quality=100, keep_rgb=True)
    adobe = data.index(b"\xff\xee\0\x0eAdobe")
    assert data[adobe + 15] == 0  # transform: none
    assert np.abs(decoded(data).astype(int) - PIXELS).max() <= 3
    plain = data[:adobe] + data[adobe + 16 :]
    assert frame_at(plain) == plain.index(BASELINE)
    for position in (frame_at(plain) + 10, plain.index(b"\xff\xda") + 5):  # the components of the frame, of the scan
        step = 3 if position < plain.index(b"\xff\xda") else 2
        for index, name in enumerate(b"RGB"):
            plain = with_bytes(plain, position + step * index, bytes([name]))
    assert np.array_equal(decoded(plain), decoded(data))


# Scans


def ends_after_scan(data: bytes, number: int) -> bytes:
    """The JPEG with its first scans alone, and the end marker: what some programs make of half a download."""
    starts = [match.start() for match in re.finditer(rb"\xff\xda", data)]
    tables = data.rfind(b"\xff\xc4", starts[number - 1], starts[number])
    return data[: tables if tables > 0 else starts[number]] + b"\xff\xd9"


def test_a_progressive_jpeg_without_its_last_scans_is_truncated() -> None:
    data = encoded(PIXELS, quality=90, progressive=True)
    scans = data.count(b"\xff\xda")
    assert scans == 10
    for number in range(1, scans):
        short = ends_after_scan(data, number)
        assert images.decode(short, LIMITS, rgb).width == 64  # the decoder says nothing
        with pytest.raises(Rejected, match=r"JPEG whose last scans are missing: component .* is incomplete") as why:
            images.inspect(short, LIMITS)
        assert why.value.reason == "TRUNCATED"
    assert decoded(data).shape == (48, 64, 3)


def test_a_jpeg_without_the_scan_of_a_component_is_truncated() -> None:
    grey = encoded(PIXELS[..., 0], quality=90)
    start = frame_at(grey)
    three = struct.pack(">H", 17) + grey[start + 4 : start + 9] + b"\3" + b"\1\x11\0\2\x11\0\3\x11\0"
    data = grey[: start + 2] + three + grey[start + 13 :]  # the scan brings the first component alone
    with pytest.raises(Rejected) as why:
        images.inspect(data, LIMITS)
    assert (why.value.reason, why.value.detail) == (
        "TRUNCATED",
        "JPEG whose last scans are missing: component 2, 3 is incomplete",
    )
