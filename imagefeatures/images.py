"""From bytes to pixels.

`inspect` checks an image's container and header without decoding a pixel; `decode` turns the image into the
model's input. Both raise Rejected for a fault of the image, and no other error.

How each mode is converted (VERSION in imagefeatures.preprocessing is this table's version):

| mode as decoded | rule | remark |
|---|---|---|
| RGB | unchanged; 16-bit colour keeps its high byte | |
| L, 1, P, YCbCr, HSV | Pillow's conversion to RGB; a palette's transparency is ignored | as Keras' load_img |
| RGBA, RGBX, LA, PA, La, RGBa | the stored colours, alpha ignored; 16 bits keep the high byte | as Keras' load_img |
| CMYK (and Adobe's YCCK) | Pillow's conversion to RGB, without a colour profile | as Keras' load_img |
| I;16, I;16L, I;16B, I;16N | scaled by 255/65535 to 8 bits | Pillow's conversion makes every value ≥ 256 white |
| I, F, LAB and any other | rejected: UNSUPPORTED_MODE | the range of values is not defined |

Only the first frame of an animation is used. The run's `preprocessing` says which transforms follow decoding.
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import (
    Image,
    JpegImagePlugin,
    MpoImagePlugin,  # noqa: F401 - registers the plugin, which Pillow needs for a JPEG file of several pictures
    PngImagePlugin,
    UnidentifiedImageError,
    _imaging,
)

from imagefeatures import formats, inflated, libtiff, streamed, webp
from imagefeatures.errors import Rejected
from imagefeatures.formats import jpeg, png, tiff
from imagefeatures.formats.limits import check_pixels
from imagefeatures.limits import FORMATS, Limits
from imagefeatures.reasons import Reason

if TYPE_CHECKING:
    from imagefeatures.preprocessing import PixelRule

Result = TypeVar("Result")

PILLOW_CONVERTS = {"RGB", "L", "1", "P", "YCbCr", "HSV", "RGBA", "RGBX", "LA", "PA", "La", "RGBa", "CMYK"}
PREMULTIPLIED = {"La", "RGBa"}  # Pillow converts these only to LA and RGBA
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
"""The transposition that turns an image upright, by its EXIF orientation."""

PILLOW_NAME = {name: (name,) for name in FORMATS}
"""The Pillow plugin that may open each allowed format. The one of JPEG opens phones' MPO files too."""

PLUGINS = ("Bmp", "Gif", "Jpeg", "Mpo", "Png", "Tiff", "WebP")
"""The modules of these plugins, before `ImagePlugin`."""

DIRECTLY = {"PNG": inflated, "WEBP": webp}
"""Modules whose `decoded` decodes some pictures of a format faster than Pillow, with Pillow's pixels."""

LATER_PLUGINS = {"HEIC": "imagefeatures.heic", "AVIF": "PIL.AvifImagePlugin", "JPEG2000": "PIL.Jpeg2KImagePlugin"}
"""Format: the module of the plugin that Pillow does not import by itself. Their decoders are large libraries."""


@dataclass(frozen=True)
class Header:
    """What an image's header says. width, height: in pixels, after EXIF orientation."""

    format: str
    width: int
    height: int
    mode: str


@dataclass(frozen=True)
class Decoded:
    """pixels: uint8 [height, width, channels], the model's input. The others: as in Header, of the original."""

    pixels: np.ndarray
    width: int
    height: int
    mode: str


def inspect(data: bytes, limits: Limits, describe: Callable[[str, Image.Image], Header] | None = None) -> Header:
    """Check an image without decoding it. describe: makes the header of format and image. Raises Rejected."""
    kind = formats.check(data, limits)
    return _tried(lambda content: _inspected(content, kind, limits, describe), kind, data)


def decode(data: bytes, limits: Limits, preprocessing: PixelRule) -> Decoded:
    """Decode an image and turn it into the model's input. Raises Rejected."""
    kind = formats.check_header(data, limits)
    return _tried(lambda content: _decoded(content, kind, limits, preprocessing), kind, data)


def _tried(work: Callable[[bytes], Result], kind: str, data: bytes) -> Result:
    """Work on an image, and once more without its metadata if the decoder stops. Raises Rejected."""
    try:
        return work(data)
    except Rejected as why:
        bare = formats.without_metadata(kind, data) if why.reason in (Reason.CORRUPT, Reason.TRUNCATED) else None
        if bare is not None and bare != data:
            with suppress(Rejected):
                return work(bare)
        raise


def _inspected(data: bytes, kind: str, limits: Limits, describe: Callable[..., Header] | None) -> Header:
    with _opened(data, kind, limits) as image:
        check_pixels(*image.size, limits)
        if image.mode not in PILLOW_CONVERTS | SIXTEEN_BIT_GREY:
            raise Rejected(Reason.UNSUPPORTED_MODE, f"mode {image.mode!r} has no defined conversion to RGB")
        if describe:
            return describe(kind, image)
        swapped = _orientation(image) >= 5 and kind != "TIFF"  # turned by 90°; Pillow has already swapped a TIFF's
        width, height = image.size[::-1] if swapped else image.size
        return Header(kind, width, height, image.mode)


def _decoded(data: bytes, kind: str, limits: Limits, preprocessing: PixelRule) -> Decoded:
    with _opened(data, kind, limits) as image:
        check_pixels(*image.size, limits)
        mode = image.mode
        pixels = streamed.pixels(data, image, _orientation(image), preprocessing) if kind == "JPEG" else None
        if pixels is None:
            picture = DIRECTLY[kind].decoded(data, image) if kind in DIRECTLY else None
            if picture is None:
                _load(image, kind, data)
            pixels = preprocessing(picture or image)
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        return Decoded(pixels, width, height, mode)


def _load(image: Image.Image, kind: str, data: bytes) -> None:
    """Let Pillow decode."""
    if kind == "PNG":
        _load_png(image, data)
    if kind == "JPEG" and jpeg.is_arithmetic(data):
        image.decodermaxblock = len(data)  # type: ignore[attr-defined]  # its decoder cannot wait for the rest
    if kind == "TIFF":
        libtiff.load(image)
        libtiff.check_rows(data)
    else:
        image.load()
    _check_palette(image, formats.palette_colours(kind, data))


def configure_pillow() -> None:
    """Set Pillow's globals, and import what Pillow and NumPy would import only when an image needs it.

    The process that decodes calls it once, before its first image: after that it cannot open a file.
    """
    Image.preinit()
    for plugin in PLUGINS:
        importlib.import_module(f"PIL.{plugin}ImagePlugin")
    for kind in LATER_PLUGINS:
        with suppress(ImportError):  # an image of that format will tell
            _register(kind)
    np.random.default_rng(0)
    # The largest value of limits.max_pixels: check_pixels enforces the dataset's own limit before a pixel is decoded.
    Image.MAX_IMAGE_PIXELS = 2**31
    # All pixels of an image in one block of memory, whatever its size, so that other code can read them in place.
    _imaging.set_use_block_allocator(1)


@lru_cache
def _register(kind: str) -> None:
    """Make Pillow know the plugin of a format. Raises ImportError where it is not installed."""
    if kind not in LATER_PLUGINS:
        return
    try:
        plugin = importlib.import_module(LATER_PLUGINS[kind])
    except ImportError as error:
        raise ImportError(f"{error}: install what reads {kind}, or leave it out of limits.formats") from None
    if kind == "AVIF":
        vars(plugin)["DEFAULT_MAX_THREADS"] = 1  # a process that is locked in cannot start another thread


@contextmanager
def _opened(data: bytes, kind: str, limits: Limits) -> Iterator[Image.Image]:
    """Open an image without decoding it. Errors that Pillow raises inside the context become Rejected."""
    PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = limits.max_profile_bytes, limits.max_metadata_bytes
    # Nobody needs the resolution, and a resolution of one letter would reject the image.
    JpegImagePlugin.JpegImageFile._read_dpi_from_exif = lambda self: None  # type: ignore[method-assign]
    _register(kind)
    try:
        with warnings.catch_warnings():
            # About invalid metadata: only the pixels are used. About many pixels: check_pixels has the limit.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(formats.readable(kind, data)), formats=PILLOW_NAME[kind]) as image:
                # Else Pillow takes an orientation from there where EXIF has none. Browsers do not.
                image.info.pop("xmp", None)
                yield image
    except (Rejected, NameError, ImportError):  # the last two are mistakes in this code, not in an image
        raise
    except Image.DecompressionBombError as error:
        raise Rejected(Reason.TOO_MANY_PIXELS, str(error)) from None
    except UnidentifiedImageError:
        raise Rejected(Reason.CORRUPT, f"starts as {kind}, but its header cannot be read") from None
    except MemoryError:
        raise Rejected(Reason.OUT_OF_MEMORY, "the decoder asked for more memory than there is") from None
    except Exception as error:  # Pillow's plugins raise almost any type of error on hostile bytes
        if "MAX_TEXT_" in str(error):  # Pillow's own limits for the texts in a PNG
            raise Rejected(Reason.METADATA_TOO_LARGE, str(error)) from None
        cut = "truncated" in str(error).lower() or (kind == "TIFF" and tiff.is_cut(data))
        reason = Reason.TRUNCATED if cut else Reason.CORRUPT
        if str(error).endswith("Not implemented"):  # by libavif
            reason = Reason.UNSUPPORTED_FORMAT
        raise Rejected(reason, f"{type(error).__name__}: {error}") from None


def _orientation(image: Image.Image) -> int:
    try:
        # Not image.getexif(): for a PNG it decodes all pixels first, because the EXIF chunk may follow them.
        value = Image.Image.getexif(image).get(0x0112, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(image: Image.Image) -> Image.Image:
    """The image turned and mirrored as its EXIF orientation says."""
    # Not ImageOps.exif_transpose(): it also rewrites the EXIF block, and fails when another tag is unreadable.
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _load_png(image: Image.Image, data: bytes) -> None:
    """Decode a PNG and check that no row is missing: Pillow does not notice a compressed stream that ends early.

    The last row is filled with noise first. If the noise is still there after decoding, the rows are counted, which
    takes a large part of another decoding. The last row of an interlaced image is not decoded last, so its rows are
    always counted.
    """
    width, height = image.size
    last_row = (0, height - 1, width, height)
    canvas = Image.new(image.mode, image.size)
    zeros = canvas.crop(last_row).tobytes()
    noise = Image.frombytes(image.mode, (width, 1), np.random.default_rng(0).bytes(len(zeros)))
    canvas.paste(noise, last_row)
    image.im = canvas.im  # the decoder writes into an image that exists already
    image.info["depth"] = data[24]  # a transparent colour is of this depth
    image.load()
    if image.info.get("interlace") or image.crop(last_row).tobytes() == noise.tobytes():
        png.check_rows(data)


def _check_palette(image: Image.Image, colours: int) -> None:
    """Check that no pixel names a colour behind the end of the palette.

    Raises Rejected (CORRUPT; UNSUPPORTED_MODE if it is the transparent one of a GIF, which may be any).
    """
    if colours and colours < 256 and image.mode in ("P", "L"):  # L: a palette of greys in order
        _, most = image.getextrema()
        if isinstance(most, int) and most >= colours:
            behind = [colour for colour, count in enumerate(image.histogram()) if count and colour >= colours]
            if image.format == "GIF" and behind == [image.info.get("transparency")]:
                detail = f"a GIF that shows its transparent colour, {most} of a palette of {colours}, is not read"
                raise Rejected(Reason.UNSUPPORTED_MODE, detail)
            raise Rejected(Reason.CORRUPT, f"a pixel has colour {most} of a palette of {colours}")


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in RGB, by the table above. Raises Rejected for a mode without a rule."""
    if image.mode in SIXTEEN_BIT_GREY:
        grey = np.asarray(image, dtype=np.float32) * np.float32(255 / 65535)
        return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if image.mode not in PILLOW_CONVERTS:
        raise Rejected(Reason.UNSUPPORTED_MODE, f"mode {image.mode!r} has no defined conversion to RGB")
    if image.mode in PREMULTIPLIED:
        image = image.convert(image.mode.upper())
    return image if image.mode == "RGB" else image.convert("RGB")  # convert would copy RGB
