"""The bad and odd files that real folders hold, each made of a real photo.

A bad file must end in the quarantine table with its reason; an odd one is a right image in an
unusual coat and must get right features.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imagefeatures.reasons import Reason

ORIENTATION = 0x0112  # the EXIF tag
NEARLY_LOSSLESS = {"quality": 95, "subsampling": 0}  # so that the features stay those of the photo


@dataclass(frozen=True)
class Kind:
    """One kind of file. ending: of the file's name; it says what the file is.

    make: a photo's bytes to the file's bytes. reason: why it is quarantined; None = it gets features.
    """

    ending: str
    make: Callable[[bytes], bytes]
    reason: Reason | None = None


def truncated_jpeg(photo: bytes) -> bytes:
    """The first 60 % of a JPEG: a copy that was cut off."""
    return photo[: len(photo) * 6 // 10]


def text(photo: bytes) -> bytes:
    """No image at all."""
    return b"The photo that was meant to be here was never taken.\n"


def empty(photo: bytes) -> bytes:
    """0 bytes: an upload that never began."""
    return b""


def grey_16_bit_png(photo: bytes) -> bytes:
    """The photo's luma with 16 bits a pixel. Software that forgets to scale it sees a white sheet."""
    rgb = np.asarray(_opened(photo), np.float64)
    luma = rgb @ [0.299, 0.587, 0.114] * 257  # 255 → 65535
    return _saved(Image.fromarray(np.rint(luma).astype(np.uint16)), "PNG")


def exif_rotated_jpeg(photo: bytes) -> bytes:
    """Stored lying on its left side, with the EXIF orientation (6) that turns it upright: a phone's portrait."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return _saved(_opened(photo).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, **NEARLY_LOSSLESS)


def cmyk_jpeg(photo: bytes) -> bytes:
    """The photo in a printer's four inks."""
    return _saved(_opened(photo).convert("CMYK"), "JPEG", **NEARLY_LOSSLESS)


BY_DAY = (
    (Kind("-truncated.jpg", truncated_jpeg, Reason.TRUNCATED), Kind("-exif-rotated.jpg", exif_rotated_jpeg)),
    (Kind("-text.jpg", text, Reason.UNSUPPORTED_FORMAT), Kind("-16-bit.png", grey_16_bit_png)),
    (Kind("-empty.jpg", empty, Reason.EMPTY_OBJECT), Kind("-cmyk.jpg", cmyk_jpeg)),
)
"""Which kinds lie in which of the demo's days: each day has a bad one and an odd one."""


def _opened(photo: bytes) -> Image.Image:
    return Image.open(io.BytesIO(photo), formats=["JPEG"]).convert("RGB")


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, form, **options)
    return sink.getvalue()
