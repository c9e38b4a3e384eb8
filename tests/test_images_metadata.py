"""Metadata at which the decoder stops: the pixels are all there, and become features."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imagefeatures import formats, images
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from support.photos import encoded, jpeg, picture, turned
from support.tiff_files import LONG, LZW, NONE, RGB, SHORT, Tiff

LIMITS = Limits()
PIXELS = picture()


def rgb(image: Image.Image) -> np.ndarray:
    return np.asarray(images.to_rgb(images.upright(image)))


def decoded(data: bytes) -> np.ndarray:
    images.inspect(data, LIMITS)
    return images.decode(data, LIMITS, rgb).pixels


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


SEGMENTS = {
    "a profile without a number": segment(0xE2, b"ICC_PROFILE\0"),
    "a profile of one byte": segment(0xE2, b"ICC_PROFILE\0\1"),
    "a list of pictures without their number": segment(0xE2, b"MPF\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
    "a list of pictures that is none": segment(0xE2, b"MPF\0none"),
    "JFIF without a version": segment(0xE0, b"JFIF\0"),
    "Adobe without a version": segment(0xEE, b"Adobe"),
    "a Photoshop block that ends early": segment(0xED, b"Photoshop 3.0\x008BIM\0\0"),
    "EXIF that is none": segment(0xE1, b"Exif\0\0none"),
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_a_broken_segment_of_a_jpeg_does_not_matter(name: str) -> None:
    whole = jpeg()
    assert np.array_equal(decoded(whole[:2] + SEGMENTS[name] + whole[2:]), decoded(whole))


def test_orientation_and_colours_are_kept_beside_a_broken_segment() -> None:
    broken = SEGMENTS["a profile without a number"]
    upside_down = encoded(PIXELS, exif=turned(3))
    assert np.array_equal(decoded(upside_down[:2] + broken + upside_down[2:]), decoded(upside_down))
    red_green_blue = encoded(PIXELS, keep_rgb=True)  # Adobe's marker says so
    assert np.array_equal(decoded(red_green_blue[:2] + broken + red_green_blue[2:]), decoded(red_green_blue))
    inks = encoded(Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]]), "CMYK"))
    assert np.array_equal(decoded(inks[:2] + broken + inks[2:]), decoded(inks))


@pytest.mark.parametrize("compression", [NONE, LZW])
@pytest.mark.parametrize(
    "tags",
    [
        {282: (2, (b"abc\0",)), 296: (SHORT, (3,))},
        {700: (LONG, (1, 2, 3))},
        {34665: (LONG, (400,))},
        {34853: (LONG, (400,))},
        {34377: (SHORT, (1,))},
    ],
    ids=["a resolution in words", "XMP in numbers", "EXIF among the pixels", "GPS among the pixels", "Photoshop"],
)
def test_a_broken_tag_of_a_tiff_does_not_matter(
    compression: int, tags: dict[int, tuple[int, tuple[object, ...]]]
) -> None:
    tiff = Tiff(PIXELS.astype(np.int64), 8, RGB, compression=compression, tags=tags)
    assert np.array_equal(decoded(tiff.bytes()), PIXELS)
    turned_round = Tiff(PIXELS.astype(np.int64), 8, RGB, tags={**tags, 274: (SHORT, (3,))})
    assert np.array_equal(decoded(turned_round.bytes()), PIXELS[::-1, ::-1])


@pytest.mark.parametrize("extension", [b"!\xf9\1\1\0", b"!\xf9\0", b"!\1\0", b"!\xff\0", b"!\xfe\0"])
def test_a_broken_extension_of_a_gif_does_not_matter(extension: bytes) -> None:
    whole = encoded(PIXELS, "GIF")
    image = whole.index(b",", 13 + 768)
    assert np.array_equal(decoded(whole[:image] + extension + whole[image:]), decoded(whole))


def test_broken_pixels_keep_their_reason() -> None:
    whole = jpeg()
    data = whole[:2] + SEGMENTS["a profile without a number"] + whole[2:]
    no_tables = data.replace(b"\xff\xdb", b"\xff\xfe")
    with pytest.raises(Rejected) as why:
        images.inspect(no_tables, LIMITS)
        images.decode(no_tables, LIMITS, rgb)
    assert (why.value.reason, why.value.detail) == ("CORRUPT", "starts as JPEG, but its header cannot be read")


def test_a_format_without_a_second_try_says_so() -> None:
    assert formats.without_metadata("PNG", encoded(PIXELS, "PNG")) is None
    plain = encoded(PIXELS, "GIF")
    assert formats.without_metadata("GIF", plain) == plain
