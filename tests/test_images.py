"""Good images of every format and mode become the model's input; the pixels of this version are pinned."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from imagefeatures import images
from imagefeatures.images import inspect
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import VERSION
from support.photos import ENCODINGS, SIDE, encoded, grey_rgb, picture, real_photos, square, turned
from support.shared import decode

LIMITS = Limits()


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


# Modes


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
