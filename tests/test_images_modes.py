"""Modes that Pillow cannot write: expected values are computed from the formats' definitions."""

from __future__ import annotations

import io
import re
import struct

import numpy as np
import pytest
from PIL import Image

from imagefeatures import images
from imagefeatures.images import PILLOW_CONVERTS, SIXTEEN_BIT_GREY, inspect
from imagefeatures.limits import Limits
from imagefeatures.settings import REPOSITORY
from support.photos import encoded, picture, png_made
from support.shared import decode
from support.snippets import section

LIMITS = Limits()
SIDE = 224


def sixteen(channels: int) -> np.ndarray:
    """uint16 [224, 224, channels] over the whole range of values."""
    values = np.random.default_rng(channels).integers(0, 65536, (SIDE, SIDE, channels), dtype=np.uint16)
    values[0, 0], values[0, 1] = 0, 65535
    return values


def png(values: np.ndarray, depth: int, colour: int) -> bytes:
    rows = values.reshape(SIDE, -1)
    packed = rows.astype(">u2").view(np.uint8) if depth == 16 else np.packbits(_bits(rows, depth), axis=1)
    return png_made(SIDE, SIDE, depth, colour, b"".join(b"\0" + row.tobytes() for row in packed))


def _bits(values: np.ndarray, depth: int) -> np.ndarray:
    return np.unpackbits(values.astype(np.uint8)[..., None], axis=2)[..., 8 - depth :].reshape(len(values), -1)


def tiff(values: np.ndarray, order: str) -> bytes:
    """A 16-bit RGB TIFF, one strip."""
    start = 8 + 2 + 9 * 12 + 4
    tags = [(256, 3, 1, SIDE), (257, 3, 1, SIDE), (258, 3, 3, start), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, start + 6), (277, 3, 1, 3), (278, 3, 1, SIDE), (279, 4, 1, values.size * 2)]
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(tags))
    for tag, kind, count, value in tags:
        short = kind == 3 and count == 1
        head += struct.pack(order + "HHI", tag, kind, count) + struct.pack(
            order + ("HH" if short else "I"), value, *[0] * short
        )
    return head + bytes(4) + struct.pack(order + "HHH", 16, 16, 16) + values.astype(order + "u2").tobytes()


@pytest.mark.parametrize(("colour", "channels", "mode"), [(2, 3, "RGB"), (6, 4, "RGBA"), (4, 2, "RGBA")])
def test_16_bit_colour_png_keeps_the_high_byte_of_each_value(colour: int, channels: int, mode: str) -> None:
    values = sixteen(channels)
    decoded = decode(png(values, 16, colour), LIMITS)
    colours = values[..., :3] if channels > 2 else np.repeat(values[..., :1], 3, axis=2)
    assert np.array_equal(decoded.pixels, (colours >> 8).astype(np.uint8))
    assert decoded.mode == inspect(png(values, 16, colour), LIMITS).mode == mode


@pytest.mark.parametrize("order", "<>")
def test_16_bit_colour_tiff_keeps_the_high_byte_of_each_value(order: str) -> None:
    values = sixteen(3)
    decoded = decode(tiff(values, order), LIMITS)
    assert np.array_equal(decoded.pixels, (values >> 8).astype(np.uint8))
    assert decoded.mode == "RGB"


@pytest.mark.parametrize("depth", [2, 4])
def test_grey_of_few_bits_is_spread_over_the_whole_range(depth: int) -> None:
    values = np.random.default_rng(depth).integers(0, 2**depth, (SIDE, SIDE), dtype=np.uint8)
    decoded = decode(png(values, depth, 0), LIMITS)
    expected = values * np.uint8(255 // (2**depth - 1))
    assert np.array_equal(decoded.pixels, np.repeat(expected[..., None], 3, axis=2))
    assert decoded.mode == "L"


def test_a_ycck_jpeg_is_converted_by_the_jfif_formula() -> None:
    stored = (120, 90, 170, 230)  # Y, Cb, Cr and K as Adobe stores them: inverted
    flat = np.broadcast_to(np.uint8([255 - value for value in stored]), (SIDE, SIDE, 4))  # Pillow inverts on writing
    data = encoded(Image.fromarray(np.ascontiguousarray(flat), "CMYK"), quality=100, subsampling=0)
    adobe = data.index(b"Adobe")
    assert data[adobe + 11] == 0  # transform 0: CMYK, not YCCK
    decoded = decode(data[: adobe + 11] + b"\2" + data[adobe + 12 :], LIMITS)
    y, cb, cr, black = (float(value) for value in stored)
    rgb = (y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128))
    # YCCK holds the complement of RGB as YCC (C = 255 - R, …). Undo Adobe's inversion, then turn inks to light.
    inks = [255 - (255 - value) for value in rgb]
    expected = [(255 - ink) * black / 255 for ink in inks]
    assert np.abs(decoded.pixels.reshape(-1, 3) - expected).max() <= 3
    assert decoded.mode == "CMYK"


def test_the_first_picture_of_a_multi_picture_jpeg_is_used() -> None:
    frames = [Image.fromarray(picture(SIDE, SIDE, seed)) for seed in range(2)]
    data = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:], quality=90)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.format == "MPO"
    assert np.array_equal(decode(data, LIMITS).pixels, decode(encoded(frames[0], quality=90), LIMITS).pixels)
    assert inspect(data, LIMITS).format == "JPEG"


@pytest.mark.parametrize("separate", [False, True], ids=["its first frame", "not of the animation"])
def test_the_default_image_of_an_animated_png_is_used(separate: bool) -> None:
    frames = [Image.fromarray(picture(SIDE, SIDE, seed)) for seed in range(3)]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=separate)
    assert np.array_equal(decode(data, LIMITS).pixels, picture(SIDE, SIDE))


def test_every_mode_is_documented_with_its_rule() -> None:
    (table,) = section(REPOSITORY / "docs" / "images.md", "From mode to RGB").tables
    documented = [mode for row in table[:-1] for mode in row[0].split(", ")]
    assert sorted(documented) == sorted(PILLOW_CONVERTS | SIXTEEN_BIT_GREY)
    assert "UNSUPPORTED_MODE" in table[-1][2]
    code = re.findall(r"^\| (.+?) \|", images.__doc__ or "", re.MULTILINE)[1:-1]
    assert {mode for cell in code for mode in re.split(r", | \(.*", cell) if mode} == set(documented)


@pytest.mark.parametrize(("plain", "premultiplied"), [("RGBA", "RGBa"), ("LA", "La")])
def test_premultiplied_colours_are_divided_by_alpha_first(plain: str, premultiplied: str) -> None:
    colour = (200, 100, 50, 255) if plain == "RGBA" else (120, 255)
    opaque = Image.new(plain, (3, 2), colour)
    found = images.to_rgb(opaque.convert(premultiplied))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(opaque.convert("RGB")))
