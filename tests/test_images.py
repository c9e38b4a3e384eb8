from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from imagefeatures import images
from imagefeatures.images import inspect
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import VERSION
from support.photos import ENCODINGS, ORIENTATION, encoded, picture, png_chunk, real_photos, turned
from support.shared import decode
from support.tiff_files import RGB, Tiff

LIMITS = Limits()
SIDE = 224
"""A picture of the model's input size is not resized: its pixels can be compared value by value."""


def square(seed: int = 0) -> np.ndarray:
    return picture(SIDE, SIDE, seed)


# Good images


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_allowed_format_becomes_the_models_input(name: str) -> None:
    kind, options = ENCODINGS[name]
    data = encoded(picture(300, 200), kind, **options)
    header, decoded = inspect(data, LIMITS), decode(data, LIMITS)
    assert header == images.Header(kind, 300, 200, "P" if kind == "GIF" else "RGB")
    assert (decoded.width, decoded.height, decoded.mode) == (header.width, header.height, header.mode)
    assert (decoded.pixels.shape, decoded.pixels.dtype) == ((SIDE, SIDE, 3), np.uint8)


@pytest.mark.parametrize("name", ["png", "lossless webp", "bmp", "tiff", "lzw tiff"])
def test_a_lossless_image_of_the_models_size_keeps_its_pixels(name: str) -> None:
    kind, options = ENCODINGS[name]
    assert np.array_equal(decode(encoded(square(), kind, **options), LIMITS).pixels, square())


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 500), (223, 225), (640, 427), (3000, 2)])
def test_any_size_is_stretched_as_pillows_bicubic_does(size: tuple[int, int]) -> None:
    original = Image.fromarray(picture(*size))
    expected = np.asarray(original.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    assert np.array_equal(decode(encoded(original, "PNG"), LIMITS).pixels, expected)


def test_a_plain_colour_stays_that_colour() -> None:
    plain = np.full((50, 80, 3), (10, 200, 99), np.uint8)
    assert np.array_equal(decode(encoded(plain, "PNG"), LIMITS).pixels, np.broadcast_to((10, 200, 99), (SIDE, SIDE, 3)))


def test_the_first_frame_of_an_animation_is_used() -> None:
    frames = [Image.fromarray(square(seed)) for seed in range(3)]
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert np.array_equal(decode(data, LIMITS).pixels, square(0))
    grey = [frame.convert("L") for frame in frames]  # a GIF stores 256 greys exactly
    data = encoded(grey[0], "GIF", save_all=True, append_images=grey[1:])
    assert np.array_equal(decode(data, LIMITS).pixels[..., 0], np.asarray(grey[0]))


# Orientation

UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}
"""Orientation to how the stored pixels are set upright, from the EXIF standard ("row 0 is at the …")."""


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


# Modes


def grey_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def test_grey_becomes_three_equal_channels() -> None:
    grey = square()[..., 0]
    decoded = decode(encoded(grey, "PNG"), LIMITS)
    assert np.array_equal(decoded.pixels, grey_rgb(grey))
    assert decoded.mode == "L"


def test_black_and_white_becomes_0_and_255() -> None:
    bits = square()[..., 0] > 128
    decoded = decode(encoded(Image.fromarray(bits), "PNG"), LIMITS)
    assert np.array_equal(decoded.pixels, grey_rgb(bits * np.uint8(255)))
    assert decoded.mode == "1"


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_never_saturated(kind: str) -> None:
    grey = (np.arange(SIDE * SIDE, dtype=np.uint32) * 65535 // (SIDE * SIDE - 1)).astype(np.uint16).reshape(SIDE, SIDE)
    data = encoded(grey, kind)
    decoded = decode(data, LIMITS)
    expected = np.floor(grey.astype(np.float64) / 257 + 0.5).astype(np.uint8)  # 65535 = 255 × 257
    assert np.array_equal(decoded.pixels, grey_rgb(expected))
    assert (decoded.mode, inspect(data, LIMITS).mode) == ("I;16", "I;16")
    assert len(np.unique(decoded.pixels)) == 256


def test_16_bit_grey_in_the_other_byte_order_is_the_same() -> None:
    grey = (square()[..., 0].astype(np.uint16) << 8) + square()[..., 1]
    little = encoded(grey, "TIFF")
    assert little.startswith(b"II")
    decoded = decode(encoded(Image.frombytes("I;16B", (SIDE, SIDE), grey.astype(">u2").tobytes()), "TIFF"), LIMITS)
    assert decoded.mode == "I;16B"
    assert np.array_equal(decoded.pixels, decode(little, LIMITS).pixels)


@pytest.mark.parametrize(("kind", "orientation"), [("PNG", 6), ("TIFF", 6), ("TIFF", 3)])
def test_16_bit_grey_is_set_upright_too(kind: str, orientation: int) -> None:
    grey = square()[..., 0].astype(np.uint16) * 257
    decoded = decode(encoded(grey, kind, exif=turned(orientation)), LIMITS)
    assert np.array_equal(decoded.pixels, UPRIGHT[orientation](grey_rgb(square()[..., 0])))


def test_alpha_is_ignored_and_the_colours_below_it_kept() -> None:
    rgba = np.dstack([square(), square(1)[..., 0]])
    rgba[:50, :, 3] = 0
    decoded = decode(encoded(rgba, "PNG"), LIMITS)
    assert np.array_equal(decoded.pixels, square())
    assert decoded.mode == "RGBA"


def test_grey_with_alpha_keeps_its_grey() -> None:
    grey_alpha = np.dstack([square()[..., 0], square(1)[..., 1]])
    decoded = decode(encoded(Image.fromarray(grey_alpha, "LA"), "PNG"), LIMITS)
    assert np.array_equal(decoded.pixels, grey_rgb(square()[..., 0]))
    assert decoded.mode == "LA"


@pytest.mark.parametrize("transparency", [None, 7, bytes(range(256))], ids=["opaque", "one colour", "one per colour"])
def test_a_palette_is_looked_up_and_its_transparency_ignored(transparency: int | bytes | None) -> None:
    palette = np.random.default_rng(1).integers(0, 256, (256, 3), dtype=np.uint8)
    indices = square()[..., 2]
    image = Image.fromarray(indices, "L")
    image.putpalette(palette.tobytes())
    options = {} if transparency is None else {"transparency": transparency}
    decoded = decode(encoded(image, "PNG", **options), LIMITS)
    assert np.array_equal(decoded.pixels, palette[indices])
    assert decoded.mode == "P"


def test_cmyk_becomes_rgb_by_the_plain_formula() -> None:
    cmyk = np.dstack([square(), square(1)[..., 0]])
    decoded = decode(encoded(Image.fromarray(cmyk, "CMYK"), "TIFF"), LIMITS)
    light = 255.0 - cmyk[..., 3:]
    expected = light - np.floor(cmyk[..., :3] * light / 255 + 0.5)
    assert np.array_equal(decoded.pixels, expected.astype(np.uint8))
    assert decoded.mode == "CMYK"


def test_a_cmyk_jpeg_is_not_inverted() -> None:
    colour = (200, 40, 90)
    cmyk = np.full((SIDE, SIDE, 4), [*(255 - c for c in colour), 0], np.uint8)  # no black: RGB is the complement
    decoded = decode(encoded(Image.fromarray(cmyk, "CMYK"), "JPEG", quality=100), LIMITS)
    assert np.abs(decoded.pixels.astype(int) - colour).max() <= 3
    assert decoded.mode == "CMYK"


# Pinned pixels

PINNED_MADE = {
    "rgb png": "25d94e71ec285f6b",
    "16-bit png": "767163ddebf9313c",
    "palette gif": "640338de4b1df3fb",
    "cmyk tiff": "894adc29e3fbfe77",
}
PINNED_PHOTOS = {"china.jpg": "45f5b225df5bc635", "flower.jpg": "24dcd4b22bb124e5"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(decode(data, LIMITS).pixels.tobytes()).hexdigest()[:16]


def made() -> dict[str, bytes]:
    grey = picture(300, 200)[..., 0].astype(np.uint16) * 257 + 31
    index = Image.fromarray(picture(300, 200)[..., 1], "L")
    index.putpalette(bytes(at * 7 % 256 for at in range(768)))
    return {
        "rgb png": encoded(picture(300, 200), "PNG", exif=turned(8)),
        "16-bit png": encoded(grey, "PNG"),
        "palette gif": encoded(index, "GIF"),
        "cmyk tiff": encoded(
            Image.fromarray(np.dstack([picture(300, 200), picture(300, 200, 3)[..., 0]]), "CMYK"), "TIFF"
        ),
    }


def test_the_pixels_are_those_of_this_version_of_preprocessing() -> None:
    """If this fails, the same bytes now give other pixels: raise preprocessing.VERSION, then pin the new digests."""
    assert VERSION == 1
    assert {name: sha256(data) for name, data in made().items()} == PINNED_MADE
    assert {path.name: sha256(path.read_bytes()) for path in real_photos()} == PINNED_PHOTOS
