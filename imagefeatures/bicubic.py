"""Bicubic resizing with Pillow's pixels: by compiled code where it is installed and proven, else by Pillow.

The compiled code is `imagefeatures/_bicubic.c`, `_filter.c` and `_filter_vnni.c`. Beside it is what
`imagefeatures.streamed` and `imagefeatures.inflated` use: `_jpeg.c` and `_png.c`.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from functools import lru_cache
from types import ModuleType

import numpy as np
import pyarrow as pa
from PIL import Image

try:
    compiled: ModuleType | None = importlib.import_module("imagefeatures._bicubic")
except ImportError:  # no compiler where this was installed
    compiled = None


LEAST_SIDE = 4
"""The compiled code makes four rows at a time, and no smaller square."""


def resized(image: Image.Image, height: int, width: int) -> np.ndarray:
    """An RGB image resized to uint8 [height, width, 3]: the pixels of Pillow's bicubic filter.

    Compiled code makes the same pixels faster, where it is installed.
    """
    if height == width and compiled_is_pillows(height):
        with suppress(ValueError):  # the image has too few rows, or its pixels are in several blocks
            return by_compiled(image, height)
    return by_pillow(image, height, width)


@lru_cache
def compiled_is_pillows(side: int) -> bool:
    """Whether the compiled code is installed, and gives Pillow's pixels at this size on this processor."""
    if compiled is None or side < LEAST_SIDE:
        return False
    noise = np.random.default_rng(0)
    samples = [Image.fromarray(noise.integers(0, 256, (*shape, 3), np.uint8)) for shape in ((61, 47), (500, 301))]
    return all(np.array_equal(by_compiled(image, side), by_pillow(image, side, side)) for image in samples)


def by_compiled(image: Image.Image, side: int) -> np.ndarray:
    """The same by compiled code, to a square. Raises ValueError when it cannot take the image."""
    if compiled is None:
        raise ValueError("the compiled code is not installed")
    pixels = np.empty((side, side, 3), np.uint8)
    original = pa.array(image).buffers()[-1]  # four bytes a pixel, no copy
    compiled.bicubic(memoryview(original), (image.height, image.width), pixels, side)
    return pixels


def by_pillow(image: Image.Image, height: int, width: int) -> np.ndarray:
    """The same by Pillow."""
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
