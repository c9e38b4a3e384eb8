"""JPEGs to the model's input row by row: decoded and resized by compiled code, without the whole picture in memory.

The decoder is the very libjpeg-turbo that Pillow has loaded. What it gives is used only where it is sure to be what
Pillow would give: for the default chain to a square, of a baseline picture in grey or three colours, which Pillow has
opened and about which the decoder warns of nothing. All else is for Pillow to decode, or to refuse: so the reasons of
a rejection are Pillow's.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, _imaging

from imagefeatures import bicubic

if TYPE_CHECKING:
    from imagefeatures.preprocessing import PixelRule

_COMPONENTS = {"L": 1, "RGB": 3}
_ORIENTATION = 0x0112


def prove(rule: PixelRule) -> None:
    """Compare with Pillow what of the compiled code `rule` uses, before an image's time runs."""
    for chain in getattr(rule, "chains", (rule,)):
        if side := _side(chain):
            with suppress(MemoryError):
                if bicubic.compiled_is_pillows(side) and chain is rule:
                    _is_pillows(side)


def pixels(data: bytes, image: Image.Image, orientation: int, rule: PixelRule) -> np.ndarray | None:
    """uint8 [side, side, 3]: what `rule` makes of a JPEG; None where Pillow must decode it, or refuse it.

    data: the file. image: as Pillow has opened it, not decoded. orientation: EXIF's, 1 to 8.
    """
    side = _side(rule)
    if image.mode not in _COMPONENTS or not _is_pillows(side):
        return None
    return _streamed(data, image, orientation, side)


def _side(rule: PixelRule) -> int:
    """Of the square that a rule makes by the standard chain, in pixels; 0 of any other rule."""
    height, width = getattr(rule, "standard_size", None) or (0, 0)  # other rules than chains have none
    return height if height == width else 0


@lru_cache
def _is_pillows(side: int) -> bool:
    """Whether the compiled code gives Pillow's pixels at this size, and none of a file that is cut."""
    if _stream is None or side < bicubic.LEAST_SIDE:
        return False
    noise = np.random.default_rng(0)
    for orientation, (height, width, subsampling) in enumerate(_SAMPLES, 1):
        picture = Image.fromarray(noise.integers(0, 256, (60, 60, 3), np.uint8))
        data = _jpeg(picture.resize((width, height)), orientation, subsampling)
        image = Image.open(io.BytesIO(data), formats=["JPEG"])
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data), formats=["JPEG"])).convert("RGB")
        found = _streamed(data, image, orientation, side)
        if found is None or not np.array_equal(found, bicubic.by_pillow(upright, side, side)):
            return False
        if _streamed(data[: len(data) // 2], image, orientation, side) is not None:
            return False
    return True


_SAMPLES = (
    (61, 47, "4:2:0"),
    (240, 380, "4:2:2"),
    (480, 90, "4:2:0"),
    (90, 480, "4:4:4"),
    (380, 227, "4:2:0"),
    (251, 333, "4:2:0"),
    (227, 400, "4:4:4"),
    (250, 260, "grey"),
)
"""Height, width and subsampling of the pictures that are tried, one for each orientation: shrunk, enlarged, and with
either pass of the filter first."""


def _jpeg(picture: Image.Image, orientation: int, subsampling: str) -> bytes:
    sink, exif = io.BytesIO(), Image.Exif()
    exif[_ORIENTATION] = orientation
    if subsampling == "grey":
        picture.convert("L").save(sink, "JPEG", exif=exif)
    else:
        picture.save(sink, "JPEG", exif=exif, subsampling=subsampling)
    return sink.getvalue()


def _streamed(data: bytes, image: Image.Image, orientation: int, side: int) -> np.ndarray | None:
    square = np.empty((side, side, 3), np.uint8)
    shape = (image.height, image.width, _COMPONENTS[image.mode])
    return square if _stream is not None and _stream(data, shape, orientation, square, side) else None


def _connected() -> Callable[..., bool] | None:
    """The compiled code with the libjpeg to which Pillow is linked; None where one of them is missing."""
    compiled = bicubic.compiled
    if compiled is None or not hasattr(compiled, "connect"):  # a build of an older version has none
        return None
    if not compiled.connect(_imaging.__file__):
        return None
    stream: Callable[..., bool] = compiled.stream
    return stream


_stream = _connected()  # now, since the decode process imports this module before it locks itself in
