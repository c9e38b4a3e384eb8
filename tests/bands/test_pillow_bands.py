"""Bands of PNG and JPEG files: those of their kinds that hold the stored samples, and no other."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagefeatures.bands import decode
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import Preprocessing
from imagefeatures.preprocessing.bands import Bands, Channels
from imagefeatures.reasons import Reason
from support.band_files import values
from support.photos import encoded

LIMITS = Limits()


def png(stored: np.ndarray, bits: int, colours: int) -> bytes:
    """A PNG as its specification says. stored: the bytes of each row, [height, width, channels]."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = stored.shape[:2]
    wide = stored.astype(">u2") if bits == 16 else stored.astype(np.uint8)
    rows = b"".join(b"\0" + (np.packbits(row) if bits == 1 else row).tobytes() for row in wide)
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if colours == 3 else b""
    body = chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def read(data: bytes, **fields: Any) -> np.ndarray:
    channels = Channels.model_validate(fields)
    header = decode.inspect(data, LIMITS, channels)
    decoded = decode.decode(data, LIMITS, Preprocessing(chain=(Bands(channels=channels),)), channels)
    assert header.mode == decoded.mode == channels.mode
    assert (header.height, header.width) == (decoded.height, decoded.width) == decoded.pixels.shape[:2]
    return decoded.pixels


def rejected(data: bytes, **fields: Any) -> Rejected:
    channels = Channels.model_validate(fields)
    with pytest.raises(Rejected) as found:
        decode.inspect(data, LIMITS, channels)
    with pytest.raises(Rejected) as again:
        decode.decode(data, LIMITS, Preprocessing(chain=(Bands(channels=channels),)), channels)
    assert (found.value.reason, found.value.detail) == (again.value.reason, again.value.detail)
    return found.value


@pytest.mark.parametrize(("bits", "colours", "count"), [(8, 0, 1), (8, 4, 2), (8, 2, 3), (8, 6, 4), (16, 0, 1)])
def test_a_png_gives_its_stored_samples(bits: int, colours: int, count: int) -> None:
    dtype = f"uint{bits}"
    pixels = values((7, 9, count), dtype)
    assert np.array_equal(read(png(pixels, bits, colours), count=count, dtype=dtype), pixels)


@pytest.mark.parametrize(
    ("bits", "colours", "count", "dtype", "words"),
    [
        (16, 2, 3, "uint16", "a PNG of 16 bits and colour type 2 is not read as bands"),
        (16, 2, 3, "uint8", "a PNG of 16 bits and colour type 2 is not read as bands"),
        (16, 6, 4, "uint16", "a PNG of 16 bits and colour type 6 is not read as bands"),
        (8, 3, 1, "uint8", "a PNG of 8 bits and colour type 3 is not read as bands"),
        (1, 0, 1, "uint8", "a PNG of 1 bits and colour type 0 is not read as bands"),
        (8, 2, 1, "uint8", "found 3 bands of uint8, the dataset declares 1 band of uint8 (channels)"),
        (8, 0, 3, "uint8", "found 1 band of uint8, the dataset declares 3 bands of uint8 (channels)"),
        (8, 0, 1, "uint16", "found 1 band of uint8, the dataset declares 1 band of uint16 (channels)"),
        (16, 0, 1, "uint8", "found 1 band of uint16, the dataset declares 1 band of uint8 (channels)"),
    ],
)
def test_a_png_of_another_kind_says_what_was_found(bits: int, colours: int, count: int, dtype: str, words: str) -> None:
    stored = values((7, 9, {0: 1, 2: 3, 3: 1, 6: 4}[colours]), "uint16" if bits == 16 else "uint8")
    stored = stored % 2 if bits == 1 else stored
    why = rejected(png(stored, bits, colours), count=count, dtype=dtype)
    assert (why.reason, why.detail) == (Reason.UNSUPPORTED_MODE, words)


def test_a_jpeg_gives_what_pillow_decodes() -> None:
    grey = np.add.outer(np.arange(24), np.arange(40)).astype(np.uint8)
    data = encoded(grey)
    assert np.array_equal(read(data, count=1)[..., 0], np.asarray(Image.open(io.BytesIO(data))))
    colours = encoded(np.dstack([grey, grey[::-1], grey[:, ::-1]]))
    assert np.array_equal(read(colours, count=3), np.asarray(Image.open(io.BytesIO(colours))))
    assert rejected(colours, count=1).detail.startswith("found 3 bands of uint8, the dataset declares 1 band")
    inks = encoded(Image.new("CMYK", (8, 8)))
    assert (
        rejected(inks, count=4).detail
        == "found a JPEG of mode 'CMYK', the dataset declares 4 bands of uint8 (channels)"
    )


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_turns_a_jpeg_and_a_png_upright(orientation: int) -> None:
    grey = np.add.outer(np.arange(24), 3 * np.arange(40)).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    turns = {3: 2, 6: -1, 8: 1}[orientation]
    data = encoded(grey, "PNG", exif=exif)
    assert np.array_equal(read(data, count=1)[..., 0], np.rot90(grey, turns))
    data = encoded(grey, "JPEG", exif=exif)
    assert np.array_equal(read(data, count=1)[..., 0], np.rot90(np.asarray(Image.open(io.BytesIO(data))), turns))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP"])
def test_other_formats_are_for_rgb_alone(kind: str) -> None:
    why = rejected(encoded(values((8, 8, 3), "uint8"), kind), count=3)
    assert why.reason is Reason.UNSUPPORTED_FORMAT
    assert why.detail.endswith(", expected one of TIFF, NPY, PNG, JPEG")


def test_too_many_pixels_are_rejected_by_the_header() -> None:
    data = encoded(values((40, 50), "uint8"), "PNG")
    with pytest.raises(Rejected, match=r"^TOO_MANY_PIXELS: 50 × 40 = 2,000, limits.max_pixels is 1,999"):
        decode.inspect(data, Limits(max_pixels=1999), Channels(count=1))
