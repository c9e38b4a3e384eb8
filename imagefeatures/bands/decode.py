"""From bytes to the bands of a picture, and to the model's input. `inspect` decodes nothing.

| format | read | everything else |
|---|---|---|
| TIFF | samples or pages of 8 and 16 bits without a sign, and floats of 32 bits | UNSUPPORTED_MODE |
| .npy | uint8, uint16, float32 in either order: [h, w], [h, w, c], or [c, h, w] where declared | UNSUPPORTED_MODE |
| PNG | grey and RGB, each with alpha or without, of 8 bits; grey of 16 bits | UNSUPPORTED_MODE |
| JPEG | grey, and RGB or YCbCr as RGB, of 8 bits | UNSUPPORTED_MODE |

What a file declares is held against `channels` before it is decoded, and what the decoder gave is held against it
afterwards. A value that is not finite is NOT_FINITE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from imagefeatures import formats, images
from imagefeatures.bands import tiff
from imagefeatures.bands.picture import Picture
from imagefeatures.errors import Rejected
from imagefeatures.formats import npy, tiff_bands
from imagefeatures.formats.limits import check_bytes, check_pixels, most_bytes
from imagefeatures.images import Decoded, Header
from imagefeatures.limits import BAND_FORMATS, FORMATS, Limits
from imagefeatures.preprocessing.bands import Channels
from imagefeatures.reasons import Reason

if TYPE_CHECKING:
    from PIL import Image

    from imagefeatures.preprocessing import PixelRule

_BANDS_OF = {"L": (1, "uint8"), "LA": (2, "uint8"), "RGB": (3, "uint8"), "RGBA": (4, "uint8")} | dict.fromkeys(
    images.SIXTEEN_BIT_GREY, (1, "uint16")
)
"""Bands and type of each Pillow mode that holds the stored samples."""

_PNG_MODES = {(8, 0): "L", (8, 2): "RGB", (8, 4): "LA", (8, 6): "RGBA", (16, 0): "I;16"}
"""Bits and type of colour of a PNG, and the mode in which Pillow gives every bit of them."""


def inspect(data: bytes, limits: Limits, channels: Channels) -> Header:
    """Check a picture of bands without decoding it. Raises Rejected."""
    kind = _format(data, limits)
    if kind == "NPY":
        height, width = _sides(_npy(data, limits, channels), channels)
    elif kind == "TIFF":
        pages = tiff_bands.read_pages(data, limits, channels)
        width, height = pages.size if pages.orientation < 5 else pages.size[::-1]
    else:
        header = images.inspect(data, limits)
        _check_mode(data, kind, header.mode, channels)
        width, height = header.width, header.height
        check_bytes((height, width, channels.count), channels.item_bytes, most_bytes(limits), f"a {kind} of")
    return Header(kind, width, height, channels.mode)


def decode(data: bytes, limits: Limits, preprocessing: PixelRule, channels: Channels) -> Decoded:
    """Read the bands of a picture, and turn them into the model's input. Raises Rejected."""
    kind = _format(data, limits)
    if kind == "NPY":
        picture = _picture_of_npy(data, limits, channels)
    elif kind == "TIFF":
        picture = _picture_of_tiff(data, limits, channels)
    else:
        check = _Checked(data, kind, limits, channels)
        picture = Picture(images.decode(data, limits, check).pixels)
    found = (picture.pixels.shape[2], picture.pixels.dtype.name)
    if found != (channels.count, channels.dtype):
        raise Rejected(Reason.UNSUPPORTED_MODE, f"the decoder gave {found[0]} bands of {found[1]}, not {channels}")
    _check_finite(picture.pixels)
    return Decoded(preprocessing(picture), picture.width, picture.height, channels.mode)


def _format(data: bytes, limits: Limits) -> str:
    allowed = BAND_FORMATS if limits.formats == FORMATS else limits.formats
    if data.startswith(npy.MAGIC) and "NPY" in allowed:
        return "NPY"
    return formats.detect_format(data, allowed)


def _npy(data: bytes, limits: Limits, channels: Channels) -> npy.Array:
    found = npy.read_header(data)
    height, width = _sides(found, channels)
    check_pixels(width, height, limits)
    check_bytes((height, width, channels.count), channels.item_bytes, most_bytes(limits), "an .npy file of")
    return found


def _sides(found: npy.Array, channels: Channels) -> tuple[int, int]:
    """Height and width of an array. Raises Rejected (UNSUPPORTED_MODE) where it has not the declared channels."""
    shape = found.shape
    if len(shape) == 2 and channels.count == 1:
        shape = (*shape, 1) if channels.axes == "hwc" else (1, *shape)
    wanted = f"[h, w, {channels.count}]" if channels.axes == "hwc" else f"[{channels.count}, h, w]"
    at = 2 if channels.axes == "hwc" else 0
    if len(shape) != 3 or shape[at] != channels.count or found.dtype != channels.dtype:
        detail = f"found an array of {found.dtype} {list(found.shape)}, the dataset declares {channels.dtype} {wanted}"
        raise Rejected(Reason.UNSUPPORTED_MODE, f"{detail} (channels)")
    return (shape[0], shape[1]) if at == 2 else (shape[1], shape[2])


def _picture_of_npy(data: bytes, limits: Limits, channels: Channels) -> Picture:
    found = _npy(data, limits, channels)
    values = found.values(data)
    if values.ndim == 2:
        values = values[..., None]
    elif channels.axes == "chw":
        values = np.moveaxis(values, 0, 2)
    return Picture(values.astype(channels.dtype, copy=False))


def _picture_of_tiff(data: bytes, limits: Limits, channels: Channels) -> Picture:
    pages = tiff_bands.read_pages(data, limits, channels)
    try:
        pixels = tiff.samples(data, pages)
    except (OSError, ValueError, SyntaxError) as error:  # what libtiff and Pillow's plugin raise on hostile bytes
        detail = f"a strip or tile does not hold the pixels that are declared ({type(error).__name__}: {error})"
        raise Rejected(Reason.CORRUPT, detail) from None
    return Picture(pixels).upright(pages.orientation)


class _Checked:
    """Makes an array of what Pillow has decoded, if it is what the file declares."""

    def __init__(self, data: bytes, kind: str, limits: Limits, channels: Channels) -> None:
        self._data, self._kind, self._limits, self._channels = data, kind, limits, channels

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def dtype(self) -> str:
        return self._channels.dtype

    def __call__(self, image: Image.Image) -> np.ndarray:
        channels = self._channels
        _check_mode(self._data, self._kind, image.mode, channels)
        shape = (image.height, image.width, channels.count)
        check_bytes(shape, channels.item_bytes, most_bytes(self._limits), f"a {self._kind} of")
        values = np.asarray(images.upright(image)).astype(channels.dtype)
        return values if values.ndim == 3 else values[..., None]


def _check_mode(data: bytes, kind: str, mode: str, channels: Channels) -> None:
    """Check a PNG's or JPEG's header, and Pillow's mode, against the channels. Raises Rejected (UNSUPPORTED_MODE)."""
    if kind == "PNG":
        bits, colours = data[24], data[25]
        declared = _PNG_MODES.get((bits, colours))
        if declared is None:
            raise Rejected(
                Reason.UNSUPPORTED_MODE, f"a PNG of {bits} bits and colour type {colours} is not read as bands"
            )
        mode = declared if mode in images.SIXTEEN_BIT_GREY else mode
        if mode != declared:
            raise Rejected(
                Reason.UNSUPPORTED_MODE, f"the decoder gave mode {mode!r} of a PNG that declares {declared!r}"
            )
    count, dtype = _BANDS_OF.get(mode, (0, f"mode {mode!r}"))
    if (count, dtype) != (channels.count, channels.dtype):
        found = f"{count} band{'s' * (count != 1)} of {dtype}" if count else f"a {kind} of {dtype}"
        raise Rejected(Reason.UNSUPPORTED_MODE, f"found {found}, the dataset declares {channels} (channels)")


def _check_finite(pixels: np.ndarray) -> None:
    if pixels.dtype.kind != "f":
        return
    # Band by band: an answer for each value of the whole picture would be a quarter of its size again.
    bad = sum(int(np.count_nonzero(~np.isfinite(pixels[..., band]))) for band in range(pixels.shape[2]))
    if bad:
        raise Rejected(Reason.NOT_FINITE, f"{bad:,} stored values are NaN or infinite")
