"""Bad and unusual files, as real folders hold them, each made from a photo.

A bad file must end in the quarantine table with its reason. An odd file is a valid image in an unusual encoding: it
must get the features of its photo.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imagefeatures.reasons import Reason

ORIENTATION = 0x0112  # the EXIF tag
NEARLY_LOSSLESS = {"quality": 95, "subsampling": 0}  # keeps the features close to the photo's


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    ending: the end of the file's name, which says what the file is. make: a photo's bytes to the file's bytes.
    reason: why a run quarantines it; None: it gets features.
    """

    ending: str
    make: Callable[[bytes], bytes]
    reason: Reason | None = None


def truncated_jpeg(photo: bytes) -> bytes:
    """The first 60 % of a JPEG: an interrupted copy."""
    return photo[: len(photo) * 6 // 10]


def text(photo: bytes) -> bytes:
    """A text file: no image."""
    return b"The photo that was meant to be here was never taken.\n"


def empty(photo: bytes) -> bytes:
    """0 bytes: an upload that failed."""
    return b""


def grey_16_bit_png(photo: bytes) -> bytes:
    """The photo's luma with 16 bits per pixel. Software that does not scale it to 8 bits gets white."""
    rgb = np.asarray(_opened(photo), np.float64)
    luma = rgb @ [0.299, 0.587, 0.114] * 257  # 255 → 65535
    return _saved(Image.fromarray(np.rint(luma).astype(np.uint16)), "PNG")


def exif_rotated_jpeg(photo: bytes) -> bytes:
    """The photo rotated by 90 degrees, with the EXIF orientation (6) that turns it upright, as phones store it."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return _saved(_opened(photo).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, **NEARLY_LOSSLESS)


def cmyk_jpeg(photo: bytes) -> bytes:
    """The photo in the four inks of a printer."""
    return _saved(_opened(photo).convert("CMYK"), "JPEG", **NEARLY_LOSSLESS)


BY_DAY = (
    (Kind("-truncated.jpg", truncated_jpeg, Reason.TRUNCATED), Kind("-exif-rotated.jpg", exif_rotated_jpeg)),
    (Kind("-text.jpg", text, Reason.UNSUPPORTED_FORMAT), Kind("-16-bit.png", grey_16_bit_png)),
    (Kind("-empty.jpg", empty, Reason.EMPTY_OBJECT), Kind("-cmyk.jpg", cmyk_jpeg)),
)
"""The kinds in each of the demo's days: one bad and one odd file a day."""


def _opened(photo: bytes) -> Image.Image:
    return Image.open(io.BytesIO(photo), formats=["JPEG"]).convert("RGB")


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, form, **options)
    return sink.getvalue()
