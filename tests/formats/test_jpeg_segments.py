"""The segments of a JPEG: which is the frame, which say what its colours are, which the decoder can do without."""

from __future__ import annotations

import struct
import sys

import numpy as np
import pytest

from imagefeatures.errors import Rejected
from imagefeatures.formats import jpeg, jpeg_frame
from imagefeatures.formats.jpeg_frame import Frame, declares_ycbcr, read_frame, segments
from imagefeatures.limits import Limits
from support.photos import encoded, picture

START, END = b"\xff\xd8", b"\xff\xd9"
APP0, APP1, APP2, APP13, APP14, APP15, COMMENT, SCAN = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF, 0xFE, 0xDA
EXIF = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x9C9B, 1, 30, 8, 0)
"""One tag that claims 30 of the block's 26 bytes."""


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


def frame(width: int, height: int, components: bytes = b"\1\2\3", marker: int = 0xC0) -> bytes:
    each = b"".join(bytes([name, 0x11, 0]) for name in components)
    return segment(marker, struct.pack(">BHHB", 8, height, width, len(components)) + each)


def scan(components: bytes = b"\1\2\3") -> bytes:
    """The scan of these components, with two bytes of pixels."""
    each = b"".join(bytes([name, 0]) for name in components)
    return segment(SCAN, bytes([len(components)]) + each + b"\0\x3f\0") + b"\x12\x34"


def adobe(transform: int) -> bytes:
    return segment(APP14, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


JFIF = segment(APP0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
FRAME = frame(300, 520)


def test_each_segment_is_named_up_to_the_end_of_the_image() -> None:
    pixels = b"\xff\0\xff\xd3\x01"
    data = START + START + b"\xff" + JFIF + FRAME + scan() + pixels + segment(COMMENT, JFIF + END) + END + JFIF
    found = [(marker, data[start - 2 : start], length) for marker, start, length in segments(data)]
    names = {0xE0: 16, 0xC0: 17, 0xDA: 12, 0xFE: 22, 0xD9: 0}
    assert found == [(marker, bytes([0xFF, marker]), length) for marker, length in names.items()]


@pytest.mark.parametrize("marker", range(0xC0, 0xD0))
def test_the_frame_is_the_first_segment_that_can_be_one(marker: int) -> None:
    data = START + segment(marker, b"\0\0\1\0\1\1\1\0\0") + FRAME + frame(7, 5) + scan() + END
    if marker in (0xC4, 0xC8, 0xCC):  # tables, and what is reserved
        assert jpeg.size(data) == (300, 520)
        assert read_frame(data) == Frame(0xC0, 8, 300, 520, b"\1\2\3", None, False, b"\x11" * 3)
    else:
        assert jpeg.size(data) == (1, 1)
        assert read_frame(data) == Frame(marker, 0, 1, 1, b"\1", None, False, b"\0")


def test_a_frame_behind_the_first_scan_is_not_the_frame() -> None:
    data = START + scan() + FRAME + END
    assert jpeg.size(data) is None
    assert read_frame(data) is None
    jpeg.check(data, Limits())


def test_a_frame_that_is_cut_is_none() -> None:
    data = START + FRAME
    assert read_frame(data) == Frame(0xC0, 8, 300, 520, b"\1\2\3", None, False, b"\x11" * 3)
    for length in range(len(data)):
        assert read_frame(data[:length]) is None
    assert read_frame(START + frame(300, 520, b"")) == Frame(0xC0, 8, 300, 520, b"", None, False, b"")


def test_one_component_is_enough() -> None:
    jpeg.check_mode(START + frame(300, 520, b"\1") + scan(b"\1") + END)


def test_the_height_behind_the_pixels_counts_only_where_the_frame_has_none() -> None:
    lines = b"\xff\xdc\0\x04\0\x30"
    jpeg.check_mode(START + segment(COMMENT, lines) + FRAME + scan() + END)
    jpeg.check_mode(START + frame(300, 0) + scan() + END)
    with pytest.raises(Rejected, match="a JPEG image whose height, 48 rows, stands after its pixels"):
        jpeg.check_mode(START + frame(300, 0) + scan() + lines + END)


# Colours

YCBCR, RGB_OR_CMYK, YCCK = 1, 0, 2


def test_colours_are_ycbcr_by_jfif_or_by_the_marker_of_adobe() -> None:
    extension = segment(APP0, b"JFXX\0\x10")
    for markers in (JFIF, JFIF + extension, extension + JFIF, adobe(YCBCR), JFIF + adobe(RGB_OR_CMYK)):
        assert declares_ycbcr(START + markers + FRAME + scan() + END)
    for markers in (b"", extension, adobe(RGB_OR_CMYK), adobe(YCCK), segment(APP13, b"Adobe\0\x64\0\0\0\0\1")):
        assert not declares_ycbcr(START + markers + FRAME + scan() + END)
    assert not declares_ycbcr(START + JFIF + scan() + END)


FOUR = frame(30, 20, b"CMYK") + scan(b"CMYK") + END


@pytest.mark.parametrize("transform", [RGB_OR_CMYK, YCCK])
def test_inks_are_known_by_a_whole_marker_of_adobe_before_the_scan(transform: int) -> None:
    late = FOUR[:-2] + adobe(YCBCR) + END
    words = segment(COMMENT, b"Adobe\0\x64\0\0\0\0\1")
    for rest in (FOUR, late, words + FOUR, segment(APP13, b"Adobe\0\x64\0\0\0\0\1") + FOUR):
        jpeg.check(START + adobe(transform) + rest, Limits())
        jpeg.check_mode(START + adobe(transform) + rest)


@pytest.mark.parametrize("size", [5, 6, 11])
def test_a_marker_of_adobe_without_its_last_byte_says_nothing(size: int) -> None:
    short = segment(APP14, b"Adobe\0\x64\0\0\0\0"[:size])
    for judge in (jpeg.check_mode, lambda data: jpeg.check(data, Limits())):
        with pytest.raises(
            Rejected, match="a JPEG of 4 components with no Adobe marker does not say what its inks are"
        ):
            judge(START + short + FOUR)
    whole = frame(30, 20, b"CMYK") + adobe(YCBCR)
    read = read_frame(START + whole)
    assert read is not None
    assert read.transform == YCBCR
    for cut in (1, 5):
        read = read_frame(START + whole[:-cut])
        assert read is not None
        assert read.transform is None


# Metadata


def test_metadata_are_counted_to_the_byte() -> None:
    """A segment counts with its length field, and EXIF with the tags that it claims: here 26 of 30 bytes."""
    first, second = segment(APP1, b"Exif\0\0" + EXIF[:20]), segment(APP1, b"Exif\0\0" + EXIF[20:])
    counted = {
        b"": 0,
        segment(APP0, bytes(10)) + segment(APP15, bytes(10)) + segment(COMMENT, bytes(5)): 12 + 12 + 7,
        segment(0xF0, bytes(10)) + segment(0xDB, bytes(10)) + FRAME: 0,
        segment(APP1, b"Exif\0\0" + EXIF): 34 + 26,
        first + second: 28 + 14 + 26,
        segment(APP2, b"Exif\0\0" + EXIF): 34,
        segment(APP1, b"http\0\0" + EXIF): 34,
        first + segment(APP1, b"http\0\0" + bytes(9)) + second: 28 + 17 + 14 + 26,
    }
    for data, count in counted.items():
        jpeg.check(START + segment(APP0, bytes(3)) + data + END, Limits(max_metadata_bytes=count + 5))
        with pytest.raises(Rejected) as much:
            jpeg.check(START + segment(APP0, bytes(3)) + data + END, Limits(max_metadata_bytes=count + 4))
        found = f"JPEG with {count + 5} bytes of metadata or more, {count + 4} are allowed (limits.max_metadata_bytes)"
        assert (much.value.reason, much.value.detail) == ("METADATA_TOO_LARGE", found)


LEFT_OUT = [
    segment(APP0, b"JFIF\0\1\1\0\0\1\0\1\0"),  # a byte too short
    segment(APP0, b"JFXX\0\x10" + bytes(20)),
    segment(APP14, b"Adobe\0\x64\0\0\0\0"),  # a byte too short
    segment(APP14, b"other\0\x64\0\0\0\0\1"),
    segment(APP13, b"Adobe\0\x64\0\0\0\0\1"),
    segment(APP1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
    segment(APP2, b"Exif\0\0" + EXIF),
    segment(APP15, b"JFIF\0" + bytes(20)),
    segment(COMMENT, b"words"),
]
KEPT = [
    JFIF,
    adobe(RGB_OR_CMYK),
    segment(APP1, b"Exif\0\0" + EXIF),
    segment(0xDB, bytes(65)),
    segment(0xF0, bytes(9)),
    FRAME,
]


def test_what_says_how_the_picture_is_turned_and_coloured_is_kept_of_the_metadata() -> None:
    mixed = b"".join(left_out + kept for left_out, kept in zip(LEFT_OUT, [*KEPT, b"", b"", b""], strict=True))
    rest = scan() + segment(COMMENT, b"between the scans") + scan() + END
    assert jpeg.without_metadata(START + mixed + rest) == START + b"".join(KEPT) + rest
    assert jpeg.without_metadata(START + b"".join(KEPT) + rest) == START + b"".join(KEPT) + rest
    assert jpeg.without_metadata(START + END) == START + END


def test_every_way_of_coding_that_is_lossless_or_hierarchical_is_named() -> None:
    whole = encoded(picture())
    start = whole.index(b"\xff\xc0")
    for marker in range(0xC0, 0xD0):
        data = whole[: start + 1] + bytes([marker]) + whole[start + 2 :]
        if marker in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA, 0xC4, 0xC8, 0xCC):
            jpeg.check_mode(data)
        else:
            lossless = marker in (0xC3, 0xC7, 0xCB, 0xCF)
            kind = "lossless JPEG image" if lossless else f"hierarchical JPEG image (SOF{marker - 0xC0})"
            with pytest.raises(Rejected) as refused:
                jpeg.check_mode(data)
            assert (refused.value.reason, refused.value.detail) == (
                "UNSUPPORTED_FORMAT",
                f"found a {kind}, which is not read",
            )


def test_compiled_code_finds_the_markers_that_the_expression_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0)
    kinds = np.array([0xFF, 0, 1, 2, 0xCF, 0xD0, 0xD7, 0xD8, 0xFE, 7], np.uint8)
    short = [noise.choice(kinds, size).tobytes() for size in range(100) for _ in range(20)]
    # Coded pixels with one marker, at each place of two vectors.
    pixels = (noise.integers(0, 0xFF, 100, np.uint8).tobytes() + b"\xff\x00") * 2
    long = [pixels[:place] + bytes([0xFF, kind]) + pixels[place:] for place in range(64) for kind in kinds]
    files = [*short, *long]
    by_compiled = [[jpeg_frame._next_marker(data, start) for start in (0, 1, 33)] for data in files]
    if jpeg_frame.compiled:
        assert jpeg_frame.compiled.marker(b"\xff\xd9", sys.maxsize) == -1
        with pytest.raises(ValueError, match="before the first byte"):
            jpeg_frame.compiled.marker(b"\xff\xd9", -1)
    monkeypatch.setattr(jpeg_frame, "compiled", None)
    assert by_compiled == [[jpeg_frame._next_marker(data, start) for start in (0, 1, 33)] for data in files]
