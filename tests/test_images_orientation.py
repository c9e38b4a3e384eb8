"""A turned image is set upright, by its EXIF alone; malformed EXIF is not fatal."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from imagefeatures import images
from imagefeatures.images import inspect
from imagefeatures.limits import Limits
from support.photos import ORIENTATION, SIDE, UPRIGHT, encoded, grey_rgb, picture, png_chunk, square, turned
from support.shared import decode
from support.tiff_files import RGB, Tiff

LIMITS = Limits()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_turned_image_is_set_upright(orientation: int, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    stored = picture(90, 60)
    data = encoded(stored, kind, exif=turned(orientation), **options)
    upright = np.ascontiguousarray(UPRIGHT[orientation](stored))
    expected = np.asarray(Image.fromarray(upright).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    decoded, header = decode(data, LIMITS), inspect(data, LIMITS)
    assert np.array_equal(decoded.pixels, expected)
    assert (decoded.width, decoded.height) == (header.width, header.height) == (upright.shape[1], upright.shape[0])


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_turned_jpeg_is_set_upright(orientation: int) -> None:
    stored = decode(encoded(square(), quality=95), LIMITS).pixels
    found = decode(encoded(square(), quality=95, exif=turned(orientation)), LIMITS)
    assert np.array_equal(found.pixels, UPRIGHT[orientation](stored))


def test_orientations_differ_so_that_the_tests_above_can_fail() -> None:
    assert len({UPRIGHT[orientation](square()).tobytes() for orientation in UPRIGHT}) == 8


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_an_orientation_that_does_not_exist_means_upright(orientation: int) -> None:
    data = encoded(square(), "PNG", exif=turned(orientation))
    assert np.array_equal(decode(data, LIMITS).pixels, square())
    wide = encoded(picture(90, 60), "PNG", exif=turned(orientation))
    assert (inspect(wide, LIMITS).width, decode(wide, LIMITS).width) == (90, 90)


BAD_EXIF = {
    "no TIFF header": b"Exif\0\0garbage",
    "cut header": b"Exif\0\0II*\0",
    "directory past the end": b"Exif\0\0II*\0\xff\xff\xff\x7f",
    "directory in itself": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0",
    "endless directory": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 50,
    "orientation as text": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\0six\0\0\0\0\0",
    "orientation past the end": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x05\0\0\0\x01\0\xff\0\0\0\0\0\0",
    "nothing": b"Exif\0\0",
    "a resolution of one letter": b"Exif\0\0II*\0\x08\0\0\0\x02\0"
    b"\x1a\x01\x02\0\x02\0\0\0007\0\0\0\x28\x01\x03\0\x01\0\0\0\x02\0\0\0\0\0\0\0",
}


@pytest.mark.parametrize("exif", BAD_EXIF.values(), ids=BAD_EXIF)
def test_malformed_exif_is_not_fatal_and_means_upright(exif: bytes) -> None:
    whole = encoded(picture(90, 60), quality=95)
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif
    data = whole[:2] + segment + whole[2:]
    assert inspect(data, LIMITS) == inspect(whole, LIMITS)
    assert np.array_equal(decode(data, LIMITS).pixels, decode(whole, LIMITS).pixels)


@pytest.mark.parametrize("exif", BAD_EXIF.values(), ids=BAD_EXIF)
def test_malformed_exif_of_a_png_is_not_fatal_and_means_upright(exif: bytes) -> None:
    whole = encoded(square(), "PNG")
    data = whole[:33] + png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")) + whole[33:]
    assert np.array_equal(decode(data, LIMITS).pixels, square())


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>"""


def with_xmp(kind: str, orientation: int | None) -> bytes:
    """A file whose XMP says that it lies on its side. orientation: what its EXIF says."""
    exif = Image.Exif() if orientation is None else turned(orientation)
    exif[0x0131] = "some program"
    if kind == "TIFF":
        tags = {700: (1, tuple(XMP)), 274: None if orientation is None else (3, (orientation,))}
        return Tiff(picture(90, 60).astype(int), 8, RGB, tags=tags).bytes()
    if kind == "PNG":
        data = encoded(picture(90, 60), "PNG", exif=exif)
        return data[:33] + png_chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + XMP) + data[33:]
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95}
    return encoded(picture(90, 60), kind, exif=exif, xmp=XMP, **options)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_turns_no_picture_and_keeps_none_from_being_turned(kind: str) -> None:
    data = with_xmp(kind, None)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[ORIENTATION] == 6  # Pillow's own answer
    plain = encoded(picture(90, 60), "JPEG" if kind == "JPEG" else "PNG", **({"quality": 95} if kind == "JPEG" else {}))
    header, found = inspect(data, LIMITS), decode(data, LIMITS)
    assert (header.width, header.height) == (found.width, found.height) == (90, 60)
    assert np.array_equal(found.pixels, decode(plain, LIMITS).pixels)
    rule = lambda image: np.asarray(images.upright(image))  # noqa: E731 - a JPEG that is not streamed
    stored = images.decode(plain, LIMITS, rule).pixels
    assert np.array_equal(images.decode(data, LIMITS, rule).pixels, stored)
    on_its_head = with_xmp(kind, 3)
    assert inspect(on_its_head, LIMITS).width == 90
    assert np.array_equal(images.decode(on_its_head, LIMITS, rule).pixels, stored[::-1, ::-1])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Metadata Warning")  # from calling Pillow directly below
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_is_read_beside_tags_that_pillow_cannot_write_back(orientation: int) -> None:
    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, kind, count, value)

    description_in_numbers = entry(0x010E, 12, 2, 6)  # Pillow reads it, and fails to write it
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + description_in_numbers + entry(ORIENTATION, 3, 1, orientation)
    data = encoded(square(), quality=95, exif=exif)
    if orientation > 1:
        with Image.open(io.BytesIO(data)) as image, pytest.raises(AttributeError):
            ImageOps.exif_transpose(image)
    stored = decode(encoded(square(), quality=95), LIMITS).pixels
    assert np.array_equal(decode(data, LIMITS).pixels, UPRIGHT[orientation](stored))


@pytest.mark.parametrize(("kind", "orientation"), [("PNG", 6), ("TIFF", 6), ("TIFF", 3)])
def test_16_bit_grey_is_set_upright_too(kind: str, orientation: int) -> None:
    grey = square()[..., 0].astype(np.uint16) * 257
    decoded = decode(encoded(grey, kind, exif=turned(orientation)), LIMITS)
    assert np.array_equal(decoded.pixels, UPRIGHT[orientation](grey_rgb(square()[..., 0])))
