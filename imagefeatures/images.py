"""From bytes to pixels: the only module that knows Pillow.

`inspect` judges an image by its container and header, without decoding a pixel; `decode` makes the
model's input of it. Both raise Rejected for what is wrong with the image, and nothing else.

What becomes of each mode (VERSION in imagefeatures.preprocessing is this table's version):

| mode as decoded | rule | then |
|---|---|---|
| RGB | as it is; of 16-bit colour the high byte | |
| L, 1, P, YCbCr, HSV | Pillow's conversion to RGB; a palette's transparency is ignored | as Keras' load_img |
| RGBA, RGBX, LA, PA, La, RGBa | the colours as stored, alpha ignored; of 16 bits the high byte | as Keras' load_img |
| CMYK (and Adobe's YCCK) | Pillow's conversion to RGB, without a colour profile | as Keras' load_img |
| I;16, I;16L, I;16B, I;16N | scaled by 255/65535 to 8 bits | Pillow alone would turn all ≥ 256 into white |
| I, F, LAB and any other | rejected: UNSUPPORTED_MODE | there is no one right range |

Of an animation the first frame is taken. Which transforms follow decoding, and in which order, is the run's
`preprocessing`; they are made of the functions here.
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from PIL import (
    Image,
    MpoImagePlugin,  # noqa: F401 - registers it: Pillow looks for it when a JPEG is not plain
    UnidentifiedImageError,
    _imaging,
)

from imagefeatures import formats
from imagefeatures.errors import Rejected
from imagefeatures.formats import png
from imagefeatures.formats.limits import check_pixels
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

if TYPE_CHECKING:
    from imagefeatures.preprocessing import Preprocessing

try:
    _bicubic: ModuleType | None = importlib.import_module("imagefeatures._bicubic")
except ImportError:  # no compiler where this was installed
    _bicubic = None

PILLOW_CONVERTS = {"RGB", "L", "1", "P", "YCbCr", "HSV", "RGBA", "RGBX", "LA", "PA", "La", "RGBa", "CMYK"}
PREMULTIPLIED = {"La", "RGBa"}  # which Pillow converts only to LA and RGBA, their plain forms
SIXTEEN_BIT_GREY = {"I;16", "I;16L", "I;16B", "I;16N"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets an image upright, by its EXIF orientation."""

PILLOW_NAME = {"JPEG": ("JPEG", "MPO")} | {name: (name,) for name in ("PNG", "WEBP", "GIF", "BMP", "TIFF")}
"""The Pillow plugins that may open each allowed format. Phones' JPEG files often open as MPO."""


@dataclass(frozen=True)
class Header:
    """What an image says of itself. width, height: pixels, after EXIF orientation."""

    format: str
    width: int
    height: int
    mode: str


@dataclass(frozen=True)
class Decoded:
    """pixels: uint8 [height, width, channels], the model's input. width, height, mode: the original's, upright."""

    pixels: np.ndarray
    width: int
    height: int
    mode: str


def inspect(data: bytes, limits: Limits) -> Header:
    """Judge an image without decoding it. Raises Rejected."""
    kind = formats.check(data, limits)
    with _opened(data, kind) as image:
        check_pixels(*image.size, limits)
        if image.mode not in PILLOW_CONVERTS | SIXTEEN_BIT_GREY:
            raise Rejected(Reason.UNSUPPORTED_MODE, f"mode {image.mode!r} has no defined conversion to RGB")
        width, height = image.size
        if _orientation(image) >= 5 and kind != "TIFF":  # lying on its side; Pillow has swapped a TIFF's already
            width, height = height, width
        return Header(kind, width, height, image.mode)


def decode(data: bytes, limits: Limits, preprocessing: Preprocessing) -> Decoded:
    """Make the model's input of an image. Raises Rejected."""
    kind = formats.check_header(data, limits)
    with _opened(data, kind) as image:
        check_pixels(*image.size, limits)
        mode = image.mode
        if kind == "PNG":
            _load_png(image, data)
        image.load()
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        return Decoded(preprocessing(image), width, height, mode)


def configure_pillow() -> None:
    """Set Pillow's globals. The process that decodes calls it once, before its first image."""
    # The most that limits.max_pixels may be: check_pixels holds each dataset's own limit, before a pixel is decoded.
    Image.MAX_IMAGE_PIXELS = 2**31
    # All pixels of an image in one piece, however large: so they can be lent to code that is not Pillow's.
    _imaging.set_use_block_allocator(1)


def resized(image: Image.Image, height: int, width: int) -> np.ndarray:
    """An RGB image as uint8 [height, width, 3], bicubic: Pillow's pixels, from compiled code where there is some."""
    if height == width and _compiled_bicubic_is_pillows(height):
        with suppress(ValueError):  # too few rows for it, or pixels in several blocks
            return _compiled(image, height)
    return _pillows(image, height, width)


@lru_cache
def _compiled_bicubic_is_pillows(side: int) -> bool:
    """Whether the compiled code is here, and gives Pillow's pixels of this size on this processor."""
    if _bicubic is None:
        return False
    noise = np.random.default_rng(0)
    tries = [Image.fromarray(noise.integers(0, 256, (*shape, 3), np.uint8)) for shape in ((61, 47), (500, 301))]
    return all(np.array_equal(_compiled(image, side), _pillows(image, side, side)) for image in tries)


def _compiled(image: Image.Image, side: int) -> np.ndarray:
    if _bicubic is None:
        raise ValueError("it was not compiled here")
    small = np.empty((side, side, 3), np.uint8)
    lent = pa.array(image).buffers()[-1]  # four bytes a pixel, no copy
    _bicubic.bicubic(memoryview(lent), (image.height, image.width), small, side)
    return small


def _pillows(image: Image.Image, height: int, width: int) -> np.ndarray:
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


@contextmanager
def _opened(data: bytes, kind: str) -> Iterator[Image.Image]:
    """An opened, not yet decoded image; whatever Pillow raises meanwhile becomes Rejected."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata: the pixels are what counts
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=PILLOW_NAME[kind]) as image:
                yield image
    except (Rejected, NameError, ImportError):  # the last two are mistakes in this code, not in an image
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Rejected(Reason.TOO_MANY_PIXELS, str(error)) from None
    except UnidentifiedImageError:
        raise Rejected(Reason.CORRUPT, f"starts as {kind}, but its header cannot be read") from None
    except MemoryError:
        raise Rejected(Reason.OUT_OF_MEMORY, "the decoder asked for more memory than there is") from None
    except Exception as error:  # Pillow's plugins raise nearly everything on hostile bytes
        if "MAX_TEXT_" in str(error):  # Pillow's own limits of a PNG's texts
            raise Rejected(Reason.METADATA_TOO_LARGE, str(error)) from None
        reason = Reason.TRUNCATED if "truncated" in str(error).lower() else Reason.CORRUPT
        raise Rejected(reason, f"{type(error).__name__}: {error}") from None


def _orientation(image: Image.Image) -> int:
    try:
        # Not image.getexif(): a PNG's decodes all pixels first, in case that EXIF stands behind them.
        value = Image.Image.getexif(image).get(0x0112, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(image: Image.Image) -> Image.Image:
    """The image turned and mirrored as its EXIF orientation says."""
    # Not ImageOps.exif_transpose(): it also writes the EXIF block anew, which unreadable tags beside this one prevent.
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _load_png(image: Image.Image, data: bytes) -> None:
    """Decode, and see to it that all rows came: Pillow does not ask when the compressed stream ends early.

    The last row is painted in noise beforehand. If the noise is still there, the rows are counted out,
    which takes a good part of a decoding more. Interlaced pictures end elsewhere: always counted.
    """
    width, height = image.size
    last_row = (0, height - 1, width, height)
    canvas = Image.new(image.mode, image.size)
    zeros = canvas.crop(last_row).tobytes()
    noise = Image.frombytes(image.mode, (width, 1), np.random.default_rng(0).bytes(len(zeros)))
    canvas.paste(noise, last_row)
    image.im = canvas.im  # the decoder writes into an image that is there already
    image.load()
    if image.info.get("interlace") or image.crop(last_row).tobytes() == noise.tobytes():
        png.check_rows(data)


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in RGB, by the table above. Raises Rejected for a mode without a rule."""
    if image.mode in SIXTEEN_BIT_GREY:
        grey = np.asarray(image, dtype=np.float32) * np.float32(255 / 65535)
        return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if image.mode not in PILLOW_CONVERTS:
        raise Rejected(Reason.UNSUPPORTED_MODE, f"mode {image.mode!r} has no defined conversion to RGB")
    if image.mode in PREMULTIPLIED:
        image = image.convert(image.mode.upper())
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it
