"""Photos for the tests of the demo, the progress and the web pages."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def jpeg(seed: int) -> bytes:
    """A photo, different for each seed: smooth, coloured, not square, darker to the right so that rotations show."""
    y, x = np.mgrid[0:60, 0:90]
    red, green, blue = (seed * 37 % 200 + 40, seed * 59 % 180 + 40, 250 - seed * 23 % 200)
    shade = 1 - x / 120 - y / 600
    pixels = np.stack([red * shade, green * shade, blue * shade], axis=-1).astype(np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=92)
    return sink.getvalue()
