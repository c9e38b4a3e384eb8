"""What pictures are written as, and how they are changed at random, by Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from imagefeatures import transforms
from support.photos import encoded, picture

GREYS = np.uint8([[0, 100], [200, 255]])


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_a_png_has_the_pixels(channels: int, mode: str) -> None:
    pixels = np.dstack([picture(5, 7), picture(5, 7, 9)])[..., :channels]
    image = Image.open(io.BytesIO(transforms.as_png(pixels)))
    assert (image.format, image.mode) == ("PNG", mode)
    assert np.array_equal(transforms.as_array(image), pixels)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_jpeg_to_look_at_has_nearly_the_pixels_and_few_bytes(channels: int, mode: str) -> None:
    pixels = np.ascontiguousarray(np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, 256, channels)))
    data = transforms.as_jpeg(pixels)
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode) == ("JPEG", mode)
    assert np.abs(transforms.as_array(image).astype(int) - pixels).max() < 6
    assert len(data) < 10_000
    assert image.quantization[0] == Image.open(io.BytesIO(encoded(picture(9, 9), "JPEG", quality=80))).quantization[0]


def test_a_picture_is_turned_against_the_clock_and_black_where_nothing_is_left() -> None:
    ramp = Image.fromarray(np.repeat(np.uint8([[10, 20, 30]]), 3, axis=0))
    assert np.asarray(transforms.rotated(ramp, 90)).tolist() == [[30] * 3, [20] * 3, [10] * 3]
    halves = Image.fromarray(np.uint8([[100] * 5 + [200] * 4] * 9))
    turned = np.asarray(transforms.rotated(halves, 30))
    assert turned[0, 0] == turned[-1, -1] == 0
    assert set(np.unique(turned)) - {0, 100, 200}  # values between the two: no nearest neighbour


def test_light_is_multiplied_and_contrast_is_the_distance_from_the_mean() -> None:
    image = Image.fromarray(GREYS)
    assert np.asarray(transforms.brightened(image, 1.5)).tolist() == [[0, 150], [255, 255]]
    assert np.asarray(transforms.contrasted(image, 0.5)).tolist() == [[69, 119], [169, 197]]


@pytest.mark.parametrize(("mode", "fill"), [("RGB", (1, 2, 3)), ("L", 1)])
def test_what_is_padded_has_the_first_number_of_the_colour_where_it_has_one_channel(mode: str, fill: object) -> None:
    made = transforms.padded(Image.new(mode, (1, 1)), 3, 3, (1, 2, 3))
    assert (made.mode, made.size, made.getpixel((0, 0))) == (mode, (3, 3), fill)
