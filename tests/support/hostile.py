"""Bad and unusual files, each with the one result that it must get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from support.photos import ENCODINGS, encoded, lab_tiff, picture, png_chunk, png_of, zeros_stream


@dataclass(frozen=True)
class Hostile:
    """A file and its expected result.

    number: in the list of twenty bad inputs (docs/reliability.md). answer: the step, the reason or "ok", and a
    pattern for the detail or the mode. fields: of the dataset file, if the result depends on them.
    """

    number: int
    ending: str
    make: Callable[[], bytes]
    answer: tuple[str, str, str]
    fields: dict[str, Any] = field(default_factory=dict)


def cut(name: str) -> Callable[[], bytes]:
    kind, options = ENCODINGS[name]
    return lambda: (data := encoded(picture(), kind, **options))[: len(data) * 2 // 3]


def wrong_crc() -> bytes:
    data = bytearray(encoded(picture(), "PNG"))
    data[data.index(b"IDAT") + 20] ^= 1
    return bytes(data)


def with_chunk(*chunks: bytes) -> bytes:
    data = encoded(picture(), "PNG")
    start = data.index(b"IDAT") - 4
    return data[:start] + b"".join(chunks) + data[start:]


def four() -> Image.Image:
    return Image.fromarray(np.dstack([picture(), picture(seed=1)[..., 0]]), "CMYK")


NO_TIFF = {"limits": {"formats": ["JPEG", "PNG", "WEBP", "GIF", "BMP"], "max_rejected": 1}}
SMALL = {"limits": {"max_bytes": 1_000_000, "max_rejected": 1}}

FILES: dict[str, Hostile] = {
    "0 bytes": Hostile(1, ".jpg", lambda: b"", ("ingest", "EMPTY_OBJECT", "0 bytes")),
    "HTML": Hostile(2, ".jpg", lambda: b"<!doctype html><p>no", ("validate", "UNSUPPORTED_FORMAT", "an HTML page")),
    "JSON": Hostile(2, ".jpg", lambda: b'{"error": 1}', ("validate", "UNSUPPORTED_FORMAT", "JSON text")),
    "PDF": Hostile(2, ".jpg", lambda: b"%PDF-1.7\n", ("validate", "UNSUPPORTED_FORMAT", "a PDF document")),
    "SVG": Hostile(2, ".jpg", lambda: b"<svg xmlns=''/>", ("validate", "UNSUPPORTED_FORMAT", "an SVG drawing")),
    **{
        f"cut {name}": Hostile(3, ".jpg", cut(name), ("validate", "TRUNCATED", "(bytes|directory)"))
        for name in ENCODINGS
    },
    "PNG with a wrong CRC": Hostile(4, ".png", wrong_crc, ("validate", "CORRUPT", "chunk 'IDAT' at byte .* wrong CRC")),
    "20 000 × 20 000 PNG of 48 kB": Hostile(
        5,
        ".png",
        lambda: png_of(20_000, 20_000, zeros_stream(20_000 * 2_501)),
        ("validate", "TOO_MANY_PIXELS", "20000 × 20000 = 400,000,000, limits.max_pixels is 50,000,000"),
    ),
    "13 000 × 13 000 PNG of 493 kB": Hostile(
        6,
        ".png",
        lambda: png_of(13_000, 13_000, zeros_stream(13_000 * 39_001), depth=8, colour=2),
        ("validate", "TOO_MANY_PIXELS", "13000 × 13000 = 169,000,000, limits.max_pixels is 50,000,000"),
    ),
    "PNG with 70 × 1 MB zTXt": Hostile(
        7,
        ".png",
        lambda: with_chunk(*[png_chunk(b"zTXt", b"k\0\0" + zeros_stream(1_000_000))] * 70),
        ("validate", "METADATA_TOO_LARGE", "16,777,216 are allowed"),
    ),
    "PNG with a 300 MB iCCP": Hostile(
        7,
        ".png",
        lambda: with_chunk(png_chunk(b"iCCP", b"icc\0\0" + zeros_stream(300_000_000))),
        ("validate", "METADATA_TOO_LARGE", "inflates to more than 1,048,576"),
    ),
    "over the byte cap": Hostile(
        8,
        ".bmp",
        lambda: encoded(picture(1000, 400), "BMP"),
        ("ingest", "TOO_LARGE", "1,200,054 bytes, limits.max_bytes is 1,000,000"),
        SMALL,
    ),
    "EPS": Hostile(
        9, ".jpg", lambda: encoded(picture(), "EPS"), ("validate", "UNSUPPORTED_FORMAT", "a PostScript document")
    ),
    "PSD": Hostile(
        9, ".jpg", lambda: b"8BPS\0\1" + bytes(60), ("validate", "UNSUPPORTED_FORMAT", "a Photoshop document")
    ),
    "FITS": Hostile(
        9,
        ".jpg",
        lambda: b"SIMPLE  =                    T".ljust(2880),
        ("validate", "UNSUPPORTED_FORMAT", "a FITS image"),
    ),
    "TIFF in .png, not allowed": Hostile(
        9,
        ".png",
        lambda: encoded(picture(), "TIFF"),
        ("validate", "UNSUPPORTED_FORMAT", "found a TIFF image, expected one of JPEG, PNG, WEBP, GIF, BMP$"),
        NO_TIFF,
    ),
    "TIFF in .png, allowed": Hostile(9, ".png", lambda: encoded(picture(), "TIFF"), ("resize", "ok", "RGB")),
    "16-bit grey": Hostile(
        12, ".png", lambda: encoded(picture()[..., 0].astype(np.uint16) * 257, "PNG"), ("resize", "ok", "I;16")
    ),
    "float": Hostile(
        12, ".tif", lambda: encoded(picture()[..., 0].astype("f4"), "TIFF"), ("validate", "UNSUPPORTED_MODE", "'F'")
    ),
    "LAB": Hostile(12, ".tif", lab_tiff, ("validate", "UNSUPPORTED_MODE", "'LAB'")),
    "CMYK": Hostile(12, ".jpg", lambda: encoded(four()), ("resize", "ok", "CMYK")),
    "alpha": Hostile(
        12, ".png", lambda: encoded(Image.fromarray(picture()).convert("RGBA"), "PNG"), ("resize", "ok", "RGBA")
    ),
    "grey and alpha": Hostile(
        12, ".png", lambda: encoded(Image.fromarray(picture()).convert("LA"), "PNG"), ("resize", "ok", "LA")
    ),
    "palette": Hostile(
        12,
        ".png",
        lambda: encoded(Image.fromarray(picture()).quantize(16), "PNG", transparency=3),
        ("resize", "ok", "P"),
    ),
}

ODD_KEYS = [
    "two words.jpg",
    "a+b.jpg",
    "a%20b.jpg",
    "a%2Bb.jpg",
    "a#b.jpg",
    "what?.jpg",
    "a&=b.jpg",
    "caf\u00e9.jpg",
    "cafe\u0301.jpg",
    "\U0001f347.jpg",
    "\"quoted\" and 'quoted'.jpg",
    "<img onerror=alert(1)>.jpg",
    "two\nlines.jpg",
    "tab\tand\\backslash.jpg",
    "{partition}{{ ds }}${HOME}.jpg",
    "/".join(["d" * 200] * 5)[:1000] + "/" + "e" * 19 + ".jpg",  # 1,024 bytes, the longest key of S3
]
