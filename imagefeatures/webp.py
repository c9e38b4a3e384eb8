"""Still WebP pictures without alpha, decoded by the libwebp that Pillow has loaded, straight into Pillow's memory.

Pillow decodes every WebP as an animation: into a canvas, blended, copied twice. For one opaque picture the result is
the same, and takes twice the time. Pillow opens the file as before, and decodes, or refuses, what libwebp does not
take here: so the reasons of a rejection are Pillow's.
"""

from __future__ import annotations

import ctypes
import io
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from imagefeatures.formats import webp as formats

try:
    from PIL import _webp
except ImportError:  # a Pillow without WebP
    _webp = None  # type: ignore[assignment]

OPAQUE = "RGB"
"""The mode that Pillow says of a file without alpha. Its memory has a fourth byte, as libwebp's RGBA."""


def prove() -> None:
    """Compare libwebp with Pillow, before an image's time runs."""
    _is_pillows()


def decoded(data: bytes, image: Image.Image) -> Image.Image | None:
    """The picture in a WebP file, as Pillow decodes it; None where Pillow must decode it, or refuse it.

    data: the file. image: as Pillow has opened it, not decoded.
    """
    if image.mode != OPAQUE or getattr(image, "n_frames", 1) != 1 or not _is_pillows():
        return None
    return _decoded(data, image)


@lru_cache
def _is_pillows() -> bool:
    """Whether libwebp can be called, gives Pillow's pixels, and none of a file that is cut."""
    if _size is None or _decode is None:
        return False
    noise = np.random.default_rng(0).integers(0, 256, (37, 59, 3), np.uint8)
    for lossless in (False, True):
        sink = io.BytesIO()
        # The fastest way to encode: each decode process waits for it once.
        Image.fromarray(noise).save(sink, "WEBP", lossless=lossless, method=0)
        data = sink.getvalue()
        image = Image.open(io.BytesIO(data), formats=["WEBP"])
        found = _decoded(data, image)
        if found is None or not np.array_equal(np.asarray(found), np.asarray(image)):
            return False
        if _decoded(data[: len(data) // 2], image) is not None:
            return False
    return True


def _decoded(data: bytes, image: Image.Image) -> Image.Image | None:
    chunk = formats.picture(data)  # the decoder would read on behind a picture that is too short for its data
    found_width, found_height = ctypes.c_int(), ctypes.c_int()
    sizes = ctypes.byref(found_width), ctypes.byref(found_height)
    if chunk is None or not _size(chunk, len(chunk), *sizes):
        return None
    if (found_width.value, found_height.value) != image.size:  # Pillow's is that of the canvas
        return None
    picture = Image.new(OPAQUE, image.size)
    picture.info = image.info
    with suppress(ValueError):  # its pixels are in several blocks
        memory = pa.array(picture).buffers()[-1]
        if _decode(chunk, len(chunk), memory.address, memory.size, 4 * image.width):
            return picture
    return None


def _function(name: str, *arguments: Any) -> Any:
    """A function of the libwebp to which Pillow is linked; None where there is none."""
    if _webp is None:
        return None
    try:
        found = getattr(ctypes.CDLL(_webp.__file__), name)  # it is loaded: nothing is looked for
    except (OSError, AttributeError):
        return None
    found.argtypes, found.restype = arguments, ctypes.c_void_p
    return found


# Now, since the decode process imports this module before it locks itself in.
_FILE, _SIZE, _MEMORY = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p
_size = _function("WebPGetInfo", _FILE, _SIZE, _MEMORY, _MEMORY)
_decode = _function("WebPDecodeRGBAInto", _FILE, _SIZE, _MEMORY, _SIZE, ctypes.c_int)
