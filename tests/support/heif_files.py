"""Small HEIC and AVIF files, and a picture that every codec keeps."""

from __future__ import annotations

import numpy as np
from PIL import Image

from support.photos import encoded, picture


def heic(width: int = 64, height: int = 48, **options: object) -> bytes:
    """A HEIC of `picture`. options: of pillow_heif."""
    return encoded(picture(width, height), "HEIC", **options)


def avif(width: int = 64, height: int = 48, **options: object) -> bytes:
    """An AVIF of `picture`. options: of Pillow."""
    return encoded(picture(width, height), "AVIF", **({"speed": 10, "quality": 95} | options))


def smooth(width: int = 160, height: int = 96) -> np.ndarray:
    """A ramp to the right and one down, which every codec keeps: uint8 [height, width, 3]."""
    y, x = np.mgrid[:height, :width]
    return np.dstack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)]).astype(np.uint8)


def sequence() -> bytes:
    """An AVIF of two frames."""
    frames = [Image.fromarray(smooth()), Image.fromarray(smooth()[::-1])]
    return encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:], speed=10)
