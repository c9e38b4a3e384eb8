"""From bytes to pixels: the only module that knows Pillow.

`inspect` judges an image by its container and header, without decoding a pixel; `decode` makes the
model's input of it. Both raise Rejected for what is wrong with the image, and nothing else.

What becomes of each mode (PREPROCESSING in imagefeatures.models names this table's version):

| mode as decoded | rule | then |
|---|---|---|
| RGB | as it is | |
| L, 1, P, YCbCr, HSV | Pillow's conversion to RGB; a palette's transparency is ignored | as Keras' load_img |
| RGBA, RGBX, LA, PA, La, RGBa | the colours as stored, alpha ignored | as Keras' load_img |
| CMYK (and Adobe's YCCK) | Pillow's conversion to RGB, without a colour profile | as Keras' load_img |
| I;16, I;16L, I;16B, I;16N | scaled by 255/65535 to 8 bits | Pillow alone would turn all ≥ 256 into white |
| I, F, LAB and any other | rejected: UNSUPPORTED_MODE | there is no one right range |

EXIF orientation is applied first; an EXIF block that cannot be read counts as "upright". Of an
animation the first frame is taken. Then bicubic to 224 × 224, stretched.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from imagefeatures import containers
from imagefeatures.datasets import Limits
from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason

# The most that limits.max_pixels may be: _check_pixels holds each dataset's own limit, before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = 2**31

SIZE = (224, 224)
PILLOW_CONVERTS = {"RGB", "L", "1", "P", "YCbCr", "HSV", "RGBA", "RGBX", "LA", "PA", "La", "RGBa", "CMYK"}
SIXTEEN_BIT_GREY = {"I;16", "I;16L", "I;16B", "I;16N"}
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
    """pixels: uint8 [224, 224, 3], RGB. width, height, mode: the original's, after EXIF orientation."""

    pixels: np.ndarray
    width: int
    height: int
    mode: str


def inspect(data: bytes, limits: Limits) -> Header:
    """Judge an image without decoding it. Raises Rejected."""
    kind = containers.check(data)
    with _opened(data, kind) as image:
        _check_pixels(image, limits)
        if image.mode not in PILLOW_CONVERTS | SIXTEEN_BIT_GREY:
            raise Rejected(Reason.UNSUPPORTED_MODE, f"mode {image.mode!r} has no defined conversion to RGB")
        width, height = image.size
        if _orientation(image) >= 5 and kind != "TIFF":  # lying on its side; Pillow has swapped a TIFF's already
            width, height = height, width
        return Header(kind, width, height, image.mode)


def decode(data: bytes, limits: Limits) -> Decoded:
    """Make the model's input of an image. Raises Rejected."""
    with _opened(data, containers.sniff(data)) as image:
        _check_pixels(image, limits)
        mode = image.mode
        image.load()
        image = _upright(image)
        small = _to_rgb(image).resize(SIZE, Image.Resampling.BICUBIC)
        return Decoded(np.asarray(small), *image.size, mode)


@contextmanager
def _opened(data: bytes, kind: str) -> Iterator[Image.Image]:
    """An opened, not yet decoded image; whatever Pillow raises meanwhile becomes Rejected."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata: the pixels are what counts
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=PILLOW_NAME[kind]) as image:
                yield image
    except Rejected:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Rejected(Reason.TOO_MANY_PIXELS, str(error)) from None
    except UnidentifiedImageError:
        raise Rejected(Reason.CORRUPT, f"starts as {kind}, but its header cannot be read") from None
    except MemoryError:
        raise Rejected(Reason.OUT_OF_MEMORY, "the decoder asked for more memory than there is") from None
    except Exception as error:  # Pillow's plugins raise nearly everything on hostile bytes
        reason = Reason.TRUNCATED if "truncated" in str(error).lower() else Reason.CORRUPT
        raise Rejected(reason, f"{type(error).__name__}: {error}") from None


def _check_pixels(image: Image.Image, limits: Limits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise Rejected(
            Reason.TOO_MANY_PIXELS,
            f"{width} × {height} = {width * height:,}, limits.max_pixels is {limits.max_pixels:,}",
        )


def _orientation(image: Image.Image) -> int:
    try:
        # Not image.getexif(): a PNG's decodes all pixels first, in case that EXIF stands behind them.
        value = Image.Image.getexif(image).get(0x0112, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(image: Image.Image) -> Image.Image:
    if _orientation(image) == 1:
        return image
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # readable orientation beside unreadable tags: turn without rewriting the block
        turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}[_orientation(image)]
        return image.transpose(Image.Transpose(turn))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT_GREY:
        grey = np.asarray(image, dtype=np.float32) * np.float32(255 / 65535)
        return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if image.mode not in PILLOW_CONVERTS:
        raise Rejected(Reason.UNSUPPORTED_MODE, f"mode {image.mode!r} has no defined conversion to RGB")
    return image.convert("RGB")
