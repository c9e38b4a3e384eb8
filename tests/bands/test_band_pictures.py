"""What a chain does to bands: Pillow one band at a time for 8 bits, the definition of the filter for the others."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from imagefeatures import transforms
from imagefeatures.bands.picture import Picture
from imagefeatures.errors import Rejected
from imagefeatures.preprocessing.geometry import CenterCrop, Crop, Flip, Pad, Resize
from imagefeatures.preprocessing.shapes import Shape
from support.band_files import values

FILTERS: dict[str, tuple[float, Callable[[float], float]]] = {
    "box": (0.5, lambda x: 1.0 if -0.5 < x <= 0.5 else 0.0),
    "bilinear": (1.0, lambda x: max(0.0, 1 - abs(x))),
    "hamming": (1.0, lambda x: _hamming(abs(x))),
    "bicubic": (2.0, lambda x: _cubic(abs(x))),
    "lanczos": (3.0, lambda x: np.sinc(x) * np.sinc(x / 3) if abs(x) < 3 else 0.0),
}
"""Half the width of each filter, and its weight at a distance."""


def _hamming(x: float) -> float:
    return float(np.sinc(x) * (0.54 + 0.46 * math.cos(math.pi * x))) if x < 1 else 0.0


def _cubic(x: float) -> float:
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def weights(before: int, after: int, name: str) -> np.ndarray:
    """float64 [after, before]: the filter, widened where the side shrinks, at the middle of each new pixel."""
    support, weight = FILTERS[name]
    scale = before / after
    wide = max(scale, 1.0)
    made = np.zeros((after, before))
    for new in range(after):
        middle = (new + 0.5) * scale
        first, end = max(int(middle - support * wide + 0.5), 0), min(int(middle + support * wide + 0.5), before)
        for old in range(first, end):
            made[new, old] = weight((old - middle + 0.5) / wide)
        made[new] /= made[new].sum()
    return made


def resized(pixels: np.ndarray, height: int, width: int, name: str) -> np.ndarray:
    """float64 [height, width, bands], by matrices: no Pillow."""
    across = np.einsum("nw,hwc->hnc", weights(pixels.shape[1], width, name), pixels.astype(np.float64))
    return np.einsum("nh,hwc->nwc", weights(pixels.shape[0], height, name), across)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("size", [(7, 5), (40, 33), (21, 18), (1, 1), (21, 60)])
def test_floats_and_sixteen_bits_are_the_filters_own_values(name: str, size: tuple[int, int]) -> None:
    for dtype in ("float32", "uint16"):
        pixels = values((21, 18, 12), dtype)
        found = Resize(size=size, interpolation=name)(Picture(pixels)).pixels
        expected = resized(pixels, *size, name)
        assert (found.dtype, found.shape) == (pixels.dtype, (*size, 12))
        if dtype == "float32":
            assert np.allclose(found, expected, rtol=1e-5, atol=1e-3)
        else:
            assert np.abs(found - np.clip(np.rint(expected), 0, 65535)).max() <= 1  # a half may fall to either side
            assert (found == np.clip(np.rint(expected), 0, 65535)).mean() > 0.95


@pytest.mark.parametrize("name", [*FILTERS, "nearest"])
def test_eight_bits_are_pillows_one_band_at_a_time(name: str) -> None:
    pixels = values((31, 47, 12), "uint8")
    found = Resize(shortest_edge=13, interpolation=name)(Picture(pixels)).pixels
    for band in range(0, 12, 3):
        rgb = Image.fromarray(np.ascontiguousarray(pixels[..., band : band + 3]))
        assert np.array_equal(found[..., band : band + 3], np.asarray(rgb.resize((19, 13), transforms.FILTERS[name])))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_nearest_pixel_and_the_same_size_change_no_value(dtype: str) -> None:
    pixels = values((12, 20, 5), dtype)
    nearest = Resize(size=(6, 10), interpolation="nearest")(Picture(pixels)).pixels
    assert np.array_equal(nearest, pixels[1::2, 1::2])
    for name in FILTERS:
        assert np.array_equal(Resize(size=(12, 20), interpolation=name)(Picture(pixels)).pixels, pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_pixels_move_as_those_of_pillow_do(dtype: str) -> None:
    """Each transform of place, on each band, against the same one on a picture of Pillow's."""
    pixels = values((9, 14, 3), dtype, 3)
    chain = [CenterCrop(size=size) for size in ((5, 6), (4, 14), (12, 20), (9, 9), (1, 30))]
    chain += [Crop(x=2, y=3, width=5, height=4), Crop(x=10, y=6, width=9, height=9), Crop(width=14, height=9)]
    chain += [Pad(size=(9, 14)), Pad(size=(12, 19)), Pad(size=(10, 15), fill=7), Flip(), Flip(direction="vertical")]
    for transform in chain:
        found = transform(Picture(pixels)).pixels
        assert found.dtype == pixels.dtype
        for band in range(3):
            one = Image.fromarray(pixels[..., band].astype(np.uint8 if dtype == "uint8" else np.float32))
            assert np.array_equal(found[..., band], np.asarray(transform(one))), transform


def test_a_crop_beyond_the_picture_is_rejected() -> None:
    with pytest.raises(Rejected, match=r"^TOO_SMALL: the crop begins at x = 14, y = 0, and the picture has 14 × 9"):
        Crop(x=14, width=2, height=2)(Picture(values((9, 14, 3), "uint8")))


def test_a_resize_of_many_bands_is_held_to_bytes() -> None:
    """Its pixels alone, 2,000 × 2,000, are far below the bound of a resize."""
    picture = Picture(np.broadcast_to(np.zeros(1, np.float32), (2, 2, 100)))
    with pytest.raises(
        Rejected, match=r"^TOO_MANY_PIXELS: resize would make 2,000 × 2,000 × 100 bands × 4 bytes = 1,6"
    ):
        Resize(size=(2000, 2000))(picture)


def test_a_fill_of_colours_is_for_three_channels() -> None:
    with pytest.raises(ValueError, match="fill must be a grey: the picture has 12 channels"):
        Pad(size=(9, 9), fill=(1, 2, 3)).shape(Shape(5, 5, 12))
