"""What the first directory of a TIFF declares: the picture or its reduced copy, and the layout of its pixels."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.judging import decoded, why
from support.photos import encoded, picture
from support.tiff_files import (
    BLACK_IS_ZERO,
    BYTE,
    CMYK,
    JPEG,
    LONG,
    PACKBITS,
    PALETTE,
    RATIONAL,
    RGB,
    SHORT,
    WHITE_IS_ZERO,
    YCBCR,
    Tiff,
)

PIXELS = picture(64, 48).astype(np.int64)
PLAIN = Tiff(PIXELS, 8, RGB, rows=10)
GREY = Tiff(PIXELS[..., :1], 8, BLACK_IS_ZERO)


# The picture, or a reduced copy of it

REDUCED = {254: (LONG, (1,))}
MAKER = {271: (2, (b"NIKON CORPORATION\0",))}


def with_subdirectory(first: Tiff, width: int, height: int, reduced: bool = False) -> bytes:
    """A TIFF whose tag SubIFDs names a second directory with this size."""
    data = replace(first, tags={**first.tags, 330: (LONG, (0,))}).bytes()
    tags = [(254, LONG, 1, int(reduced)), (256, LONG, 1, width), (257, LONG, 1, height)]
    directory = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return (
        data.replace(struct.pack("<HHII", 330, LONG, 1, 0), struct.pack("<HHII", 330, LONG, 1, len(data))) + directory
    )


def test_the_preview_of_a_raw_file_is_not_taken_for_the_photo() -> None:
    preview = replace(PLAIN, tags=REDUCED)
    dng = replace(PLAIN, tags={**REDUCED, 50706: (1, (1, 4, 0, 0))})
    cr2 = bytearray(with_subdirectory(PLAIN, 6000, 4000))
    found = {
        "DNG": why(with_subdirectory(dng, 6000, 4000)),
        "NEF": why(with_subdirectory(replace(preview, tags={**REDUCED, **MAKER}), 6000, 4000)),
        "reduced": why(with_subdirectory(preview, 6000, 4000)),
        "not flagged": why(with_subdirectory(PLAIN, 6000, 4000)),
        "alone": why(preview.bytes()),
        "old flag": why(replace(PLAIN, tags={255: (SHORT, (2,))}).bytes()),
        "filter array": why(replace(GREY, photometric=32803).bytes()),
    }
    a_tiff = "found a TIFF image whose first picture, 64 × 48, is a reduced one: the whole is"
    assert found == {
        "DNG": ("UNSUPPORTED_FORMAT", "found a camera's raw file (DNG), whose first picture is 64 × 48"),
        "NEF": (
            "UNSUPPORTED_FORMAT",
            "found a camera's raw file (NEF) whose first picture, 64 × 48, is a reduced one: the whole is larger in a "
            "SubIFD",
        ),
        "reduced": ("UNSUPPORTED_FORMAT", f"{a_tiff} larger in a SubIFD"),
        "not flagged": ("UNSUPPORTED_FORMAT", f"{a_tiff} larger in a SubIFD"),
        "alone": ("UNSUPPORTED_FORMAT", f"{a_tiff} elsewhere in the file"),
        "old flag": ("UNSUPPORTED_FORMAT", f"{a_tiff} elsewhere in the file"),
        "filter array": ("UNSUPPORTED_FORMAT", "found a camera's raw file, whose first picture is 64 × 48"),
    }
    cr2[8:8] = b"CR\2\0" + bytes(4)  # Canon's mark behind the header, before the directory
    cr2[4:8] = struct.pack("<I", 16)
    assert why(bytes(cr2)) == ("UNSUPPORTED_FORMAT", "found a camera's raw file (CR2), whose first picture is 64 × 48")


def test_pixels_that_spell_canons_mark_are_pixels() -> None:
    """libtiff writes the pixels behind the header, and the directory behind them."""
    for mark in (b"CR\1", b"CR\2"):
        pixels = mark + bytes(range(9))  # two rows of two
        tags = [
            (256, 1, 2),
            (257, 1, 2),
            (258, 3, 20),
            (259, 1, 1),
            (262, 1, 2),
            (273, 1, 8),
            (277, 1, 3),
            (279, 1, 12),
        ]
        entries = b"".join(struct.pack("<HHII", tag, SHORT, count, value) for tag, count, value in tags)
        data = struct.pack("<2sHI", b"II", 42, 26) + pixels + struct.pack("<3H", 8, 8, 8)
        data += struct.pack("<H", len(tags)) + entries + bytes(4)
        assert decoded(data).tobytes() == pixels


@pytest.mark.parametrize("kind", [BYTE, SHORT])
def test_the_range_of_inks_is_of_either_type_that_the_specification_allows(kind: int) -> None:
    for made in (PLAIN, Tiff(deeper(4, 8), 8, CMYK)):
        assert np.array_equal(decoded(replace(made, tags={336: (kind, (0, 255))}).bytes()), made.rgb())
    reason, detail = why(Tiff(deeper(4, 8), 8, CMYK, tags={336: (kind, (1, 255))}).bytes())
    assert reason == "UNSUPPORTED_MODE"
    assert detail.endswith("has inks of another range")


def test_a_tiff_of_two_pages_or_with_a_smaller_copy_gives_its_first_picture() -> None:
    pages = [Image.fromarray(picture(64, 48, seed)) for seed in range(2)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert np.array_equal(decoded(data), picture(64, 48, 0))
    for side in (32, 64):
        assert np.array_equal(decoded(with_subdirectory(PLAIN, side, 48)), PIXELS)
    assert np.array_equal(decoded(with_subdirectory(PLAIN, 6400, 4800, reduced=True)), PIXELS)
    assert np.array_equal(decoded(replace(PLAIN, tags={254: (LONG, (2,))}).bytes()), PIXELS)  # a page of several


# Layouts that the decoder reads otherwise, or not at all


def deeper(count: int, bits: int) -> np.ndarray:
    return np.resize(PIXELS, (48, 64, count)) * 257 >> 16 - bits


MODES = {
    "grey, 4 samples of 8 bits, no compression": Tiff(deeper(4, 8), 8, BLACK_IS_ZERO),
    "grey, 8 samples of 8 bits, no compression": Tiff(deeper(8, 8), 8, BLACK_IS_ZERO),
    "grey, 2 samples of 16 bits, extra samples 2, no compression": Tiff(deeper(2, 16), 16, BLACK_IS_ZERO, extra=(2,)),
    "grey, 1 float sample of 64 bits, no compression": Tiff(PIXELS[..., :1] / 255, 64, BLACK_IS_ZERO, sample_format=3),
    "grey, 1 float sample of 16 bits, no compression": Tiff(PIXELS[..., :1] / 255, 16, BLACK_IS_ZERO, sample_format=3),
    "RGB, 3 float samples of 32 bits, no compression": Tiff(PIXELS / 255, 32, RGB, sample_format=3),
    "grey, 1 signed sample of 8 bits, no compression": replace(GREY, sample_format=2),
    "RGB, 3 signed samples of 8 bits, no compression": replace(PLAIN, sample_format=2),
    "grey, 1 undefined sample of 8 bits, no compression": replace(GREY, sample_format=4),
    "grey, 1 sample of 12 bits, no compression": Tiff(deeper(1, 12), 12, BLACK_IS_ZERO),
    "grey whose 0 is white, 1 sample of 16 bits, no compression": Tiff(deeper(1, 16), 16, WHITE_IS_ZERO),
    "RGB, 3 samples of 16 bits, planes apart, no compression": Tiff(deeper(3, 16), 16, RGB, planes=True),
    "RGB, 3 samples of 8 bits, planes apart, bits in reverse, no compression": Tiff(
        PIXELS, 8, RGB, planes=True, reversed_bits=True
    ),
    "grey, 1 sample of 8 bits, predictor 2, no compression": replace(GREY, predictor=True),
    "grey, 1 sample of 8 bits, predictor 2, PackBits": replace(GREY, predictor=True, compression=PACKBITS),
    "RGB, 3 samples of different bits, no compression": replace(PLAIN, tags={258: (SHORT, (8, 8, 16))}),
    "undeclared colours, 1 sample of 8 bits, no compression": replace(GREY, photometric=None),
    "a transparency mask, 1 sample of 1 bits, no compression": Tiff(PIXELS[..., :1] >> 7, 1, 4),
    "CMYK, 4 samples of 8 bits, no compression has other inks than cyan, magenta, yellow and black": Tiff(
        deeper(4, 8), 8, CMYK, tags={332: (SHORT, (2,))}
    ),
    "CMYK, 4 samples of 8 bits, no compression has inks of another range": Tiff(
        deeper(4, 8), 8, CMYK, tags={336: (SHORT, (255, 0))}
    ),
    "YCbCr, 3 samples of 8 bits, no compression does not say how its colours are sampled": replace(
        PLAIN, photometric=YCBCR
    ),
    "YCbCr, 3 samples of 8 bits, no compression has colours for several pixels each": replace(
        PLAIN, photometric=YCBCR, tags={530: (SHORT, (2, 1))}
    ),
    "YCbCr, 3 samples of 8 bits, no compression has other coefficients than those of JPEG": replace(
        PLAIN, photometric=YCBCR, tags={530: (SHORT, (1, 1)), 529: (RATIONAL, (2126, 10000, 7152, 10000, 722, 10000))}
    ),
    "YCbCr, 3 samples of 8 bits, no compression has black and white at other values than 0 and 255": replace(
        PLAIN,
        photometric=YCBCR,
        tags={530: (SHORT, (1, 1)), 532: (RATIONAL, (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1))},
    ),
    "a palette, 1 sample of 8 bits, no compression has 0 values of a palette, not 768": replace(
        GREY, photometric=PALETTE
    ),
    "a palette, 1 sample of 8 bits, no compression has a palette of 8-bit values where 16 bits are prescribed": Tiff(
        PIXELS[..., :1], 8, PALETTE, palette=np.arange(768).reshape(256, 3) % 256
    ),
}


@pytest.mark.parametrize("found", MODES)
def test_a_layout_that_is_not_read_right_is_refused_with_what_was_found(found: str) -> None:
    reason, detail = why(MODES[found].bytes())
    assert reason == "UNSUPPORTED_MODE"
    assert detail in (f"a TIFF of {found} is not read", f"a TIFF of {found}")


FORMATS = {33003: "JPEG 2000", 34712: "JPEG 2000", 50002: "JPEG XL", 34933: "PNG", 50001: "WebP", 34887: "LERC"}


@pytest.mark.parametrize("compression", [*FORMATS, 60000])
def test_another_format_inside_a_tiff_is_named(compression: int) -> None:
    name = FORMATS.get(compression, "compression 60000")
    detail = f"found a TIFF image compressed by {name}, which is not read"
    assert why(replace(PLAIN, compression=compression).bytes()) == ("UNSUPPORTED_FORMAT", detail)


# JPEG in TIFF


def stream(part: np.ndarray, **options: Any) -> bytes:
    pixels = part.astype(np.uint8)
    return encoded(pixels[..., 0] if pixels.shape[2] == 1 else pixels, quality=98, **options)


def test_jpeg_in_a_tiff_is_read_in_the_colours_that_it_declares() -> None:
    smooth = np.stack(np.meshgrid(np.arange(64) * 4, np.arange(48) * 5, indexing="xy"), axis=2)
    smooth = np.dstack([smooth, smooth.sum(axis=2) // 2])

    def jpeg(photometric: int, samples: np.ndarray = smooth, **options: Any) -> bytes:
        tags = {530: (SHORT, (2, 2))} if photometric == YCBCR else {}
        encode = lambda part: stream(part, **options)  # noqa: E731 - with the options of this call
        return Tiff(samples, 8, photometric, compression=JPEG, rows=16, encode=encode, tags=tags).bytes()

    assert np.abs(decoded(jpeg(YCBCR)).astype(int) - smooth).max() < 12
    assert np.abs(decoded(jpeg(RGB, keep_rgb=True)).astype(int) - smooth).max() < 6
    assert np.abs(decoded(jpeg(BLACK_IS_ZERO, smooth[..., :1]))[..., 0].astype(int) - smooth[..., 0]).max() < 6
    assert np.abs(255 - decoded(jpeg(WHITE_IS_ZERO, smooth[..., :1]))[..., 0].astype(int) - smooth[..., 0]).max() < 6
    detail = "a TIFF of RGB, 3 samples of 8 bits, JPEG holds JPEG data that declare YCbCr"
    assert why(jpeg(RGB)) == ("UNSUPPORTED_MODE", detail)


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4"])
def test_fax_is_read_in_the_polarity_that_it_declares(compression: str) -> None:
    bits = np.asarray(PIXELS[..., 0] > 128)
    data = encoded(Image.fromarray(bits), "TIFF", compression=compression)
    at = data.index(struct.pack("<HHII", 262, SHORT, 1, 1))
    expected = np.repeat(bits[..., None] * np.uint8(255), 3, axis=2)
    assert np.array_equal(decoded(data), expected)
    white_is_zero = data[: at + 8] + struct.pack("<I", 0) + data[at + 12 :]
    assert np.array_equal(decoded(white_is_zero), 255 - expected)
