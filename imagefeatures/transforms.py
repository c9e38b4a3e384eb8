"""What the transforms of a declared chain do to a picture, by Pillow.

The rules are told by `imagefeatures.preprocessing`; the decode process imports this module before it locks itself in.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageEnhance

from imagefeatures import bicubic, images
from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason

if TYPE_CHECKING:
    from imagefeatures.bands.picture import Picture

    AnyPicture = Image.Image | Picture
    """Bands are no picture of Pillow's. Their code is loaded only where a dataset has some."""

FILTERS = {
    name: Image.Resampling[name.upper()] for name in ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
}
MIRRORS = {"horizontal": Image.Transpose.FLIP_LEFT_RIGHT, "vertical": Image.Transpose.FLIP_TOP_BOTTOM}
WITH_ALPHA = {"RGBA", "LA", "PA", "La", "RGBa"}


def resized(image: AnyPicture, height: int, width: int, interpolation: str) -> AnyPicture:
    """image: L, RGB or bands. Compiled code makes the bicubic filter's pixels faster, for squares in RGB."""
    if not isinstance(image, Image.Image):
        return image.resized(height, width, interpolation)
    if interpolation == "bicubic" and image.mode == "RGB" and height == width:
        return Image.fromarray(bicubic.resized(image, height, width))
    return image.resize((width, height), FILTERS[interpolation])


def cropped(image: AnyPicture, top: int, left: int, height: int, width: int) -> AnyPicture:
    """The rectangle from there on; black where it lies beyond the picture. Raises Rejected when all of it does."""
    if top >= image.height or left >= image.width:
        where = f"the crop begins at x = {left}, y = {top}"
        raise Rejected(Reason.TOO_SMALL, f"{where}, and the picture has {image.width} × {image.height} pixels there")
    if not isinstance(image, Image.Image):
        return image.cropped(top, left, height, width)
    return image.crop((left, top, left + width, top + height))


def padded(image: AnyPicture, height: int, width: int, fill: tuple[int, int, int]) -> AnyPicture:
    """The picture in the middle of a larger one of one colour: of a grey where it has one channel, or bands."""
    if not isinstance(image, Image.Image):
        return image.padded(height, width, fill[0])
    canvas = Image.new(image.mode, (width, height), fill if image.mode == "RGB" else fill[0])
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def flipped(image: AnyPicture, direction: str) -> AnyPicture:
    if not isinstance(image, Image.Image):
        return image.flipped(direction)
    return image.transpose(MIRRORS[direction])


def rotated(image: Image.Image, degrees: float) -> Image.Image:
    """Turned about its middle against the clock, by the bilinear filter; what it does not cover is black."""
    return image.rotate(degrees, Image.Resampling.BILINEAR)


def brightened(image: Image.Image, factor: float) -> Image.Image:
    """Every value multiplied, and cut to 0 to 255."""
    return ImageEnhance.Brightness(image).enhance(factor)


def contrasted(image: Image.Image, factor: float) -> Image.Image:
    """The distance of every value from the mean of the luminance, a whole number, multiplied; cut to 0 to 255."""
    return ImageEnhance.Contrast(image).enhance(factor)


def grey(image: Image.Image, channels: int) -> Image.Image:
    """The luminance of an L or RGB picture, in one channel or in three equal ones."""
    luminance = image.convert("L")
    return luminance if channels == 1 else Image.merge("RGB", (luminance,) * 3)


def on_matte(image: Image.Image, matte: tuple[int, int, int]) -> Image.Image:
    """The picture in RGB on a colour, by its alpha. Raises Rejected for a mode without a rule."""
    alpha = _alpha(image)
    picture = images.to_rgb(image)
    if alpha is None:
        return picture
    canvas = Image.new("RGB", image.size, matte)
    canvas.paste(picture, mask=alpha)
    return canvas


def as_array(image: Any) -> np.ndarray:
    """A picture, or an array already, as an array [height, width, channels]."""
    pixels: np.ndarray = np.asarray(getattr(image, "pixels", image))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def as_png(pixels: np.ndarray) -> bytes:
    """uint8 [height, width, 1 to 4 channels] as a PNG, which loses nothing; written in half of the usual time."""
    out = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def as_jpeg(pixels: np.ndarray) -> bytes:
    """uint8 [height, width, 1 or 3 channels] as a JPEG for people to look at: some 10 kB of a photo of 256 × 256."""
    out = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels).save(out, "JPEG", quality=80)
    return out.getvalue()


def _alpha(image: Image.Image) -> Image.Image | None:
    """The alpha of a picture in mode L; None of one without. A transparent colour has alpha 0, all others have 255."""
    if image.mode in WITH_ALPHA:
        return image.getchannel(len(image.getbands()) - 1)
    colour = image.info.get("transparency")
    if colour is None:
        return None
    if image.mode == "P":  # the number of a colour, or bytes with the alpha of each
        return image.convert("RGBA").getchannel("A")
    depth = image.info.get("depth", 8)
    if image.mode == "RGB" and depth > 8:  # of each value the high byte is left: no pixel can be compared
        return None
    # Of the two bytes of each value those bits count that a pixel has.
    most = 2**depth - 1
    colour = tuple(value & most for value in colour) if isinstance(colour, tuple) else colour & most
    if image.mode == "L":  # Pillow has spread the pixels over 0 to 255, and not this colour
        colour = colour * 255 // most
    differs = np.asarray(image) != (colour if image.mode != "1" else bool(colour))
    visible = differs.any(-1) if differs.ndim == 3 else differs
    return Image.fromarray(visible.astype(np.uint8) * np.uint8(255))
