"""Decoded images as Spark and OpenCV hold them: whole, in the order blue, green, red, decoded in a child process.

Two rules say which channels an image has:

| | orientation | channels | formats |
|---|---|---|---|
| ours | EXIF is applied | 3: what the model sees, by the table in `imagefeatures.images` | those of the limits |
| stored | as stored | 1, 3 or 4: what Spark's source `image` makes of the same file | those that Java's ImageIO reads |

A header is read first, in a process of its own. It says how much memory the pixels take before they are decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from imagefeatures import images, isolation
from imagefeatures.errors import Rejected
from imagefeatures.isolation import Isolated
from imagefeatures.limits import Limits

BATCH_BYTES = 32 * 2**20
"""The most pixels that are held at a time, unless a single image has more."""

HEADERS_AT_ONCE = 64

STORED_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF")
"""The formats of `limits.formats` that Java's ImageIO reads."""

CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}
"""The channels of a stored image, by the mode that `inspect_stored` gives."""


@dataclass(frozen=True, slots=True)
class Bitmap:
    """The size of one image, and its pixels: channels × width × height bytes, row by row from the top, B, G, R, A.

    data: None where only the header was read.
    """

    height: int
    width: int
    channels: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class BitmapRule:
    """A rule that makes uint8 [height, width, channels] of a decoded image. stored: else ours."""

    height: int
    width: int
    channels: int
    stored: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.height, self.width, self.channels)

    @property
    def dtype(self) -> str:
        return "uint8"

    def __call__(self, image: Any) -> np.ndarray:
        if not self.stored:
            return np.asarray(images.to_rgb(images.upright(image)))[..., ::-1]
        if self.channels == 1:
            return _grey(image)[..., None]
        if self.channels == 3:
            return np.asarray(image.convert("RGB"))[..., ::-1]
        return np.asarray(image.convert("RGBA"))[..., [2, 1, 0, 3]]


def inspect_stored(data: bytes, limits: Limits) -> images.Header:
    """images.inspect of an image as it is stored. The header's mode is a key of CHANNELS. Raises Rejected."""
    return images.inspect(data, limits, _stored_header)


def decode(data: bytes, limits: Limits, rule: BitmapRule) -> images.Decoded:
    """images.decode by a rule. A name of this module, so that the child imports it before it locks itself in."""
    return images.decode(data, limits, rule)


def read_bitmaps(
    blobs: Sequence[bytes | Rejected], limits: Limits, *, stored: bool, pixels: bool
) -> Iterator[list[Bitmap | Rejected]]:
    """Read images in order: lists of results, each with at most BATCH_BYTES of pixels or one image.

    blobs: an image's bytes; or why there are none, which is its result. pixels: else headers alone are read, and
    nothing is decoded. Raises DecoderUnavailable.
    """
    if stored:
        limits = limits.model_copy(update={"formats": tuple(k for k in limits.formats if k in STORED_FORMATS)})
    for start in range(0, len(blobs), HEADERS_AT_ONCE):
        some = blobs[start : start + HEADERS_AT_ONCE]
        headers = _headers(some, limits, stored)
        if not pixels:
            yield headers
            continue
        for window in _windows(headers):
            yield _decoded(some, headers, window, limits, stored)


@lru_cache
def _inspector() -> Isolated:
    return Isolated(inspect_stored)


@lru_cache
def _decoder() -> Isolated:
    return Isolated(decode)


def _headers(blobs: Sequence[bytes | Rejected], limits: Limits, stored: bool) -> list[Bitmap | Rejected]:
    """The result of each image, without its pixels."""
    data = [blob for blob in blobs if isinstance(blob, bytes)]
    records = iter((_inspector() if stored else isolation.inspector()).run(data, limits).records) if data else iter(())
    results: list[Bitmap | Rejected] = []
    for blob in blobs:
        if isinstance(blob, Rejected):
            results.append(blob)
        elif (record := next(records))["state"] == isolation.REJECTED:
            results.append(isolation.rejection(record))
        else:
            # The process may have been taken over, and say another mode than these.
            channels = CHANNELS.get(record["mode"].decode(), 3) if stored else 3
            results.append(Bitmap(int(record["height"]), int(record["width"]), channels))
    return results


def _windows(headers: Sequence[Bitmap | Rejected]) -> Iterator[range]:
    """The indices of the images, cut where their pixels would be more than BATCH_BYTES."""
    start, held = 0, 0
    for index, header in enumerate(headers):
        size = 0 if isinstance(header, Rejected) else header.height * header.width * header.channels
        if index > start and held + size > BATCH_BYTES:
            yield range(start, index)
            start, held = index, 0
        held += size
    if start < len(headers):
        yield range(start, len(headers))


def _decoded(
    blobs: Sequence[bytes | Rejected], headers: list[Bitmap | Rejected], window: range, limits: Limits, stored: bool
) -> list[Bitmap | Rejected]:
    """The results of a window with their pixels. Images of one size are decoded together."""
    results = {index: headers[index] for index in window}
    sizes: dict[Bitmap, list[int]] = {}
    for index, header in results.items():
        if isinstance(header, Bitmap):
            sizes.setdefault(header, []).append(index)
    for size, indices in sizes.items():
        rule = BitmapRule(size.height, size.width, size.channels, stored)
        data = [blob for index in indices if isinstance(blob := blobs[index], bytes)]
        batch = _decoder().run(data, limits, rule)
        for at, index in enumerate(indices):
            record = batch.records[at]
            if record["state"] == isolation.REJECTED:
                results[index] = isolation.rejection(record)
            else:
                results[index] = Bitmap(size.height, size.width, size.channels, batch.pixels[at].tobytes())
    return [results[index] for index in window]


def _stored_header(kind: str, image: Any) -> images.Header:
    return images.Header(kind, image.width, image.height, _stored_mode(kind, image))


def _stored_mode(kind: str, image: Any) -> str:
    """What Java's colour model of the file is: grey, colours, or colours with alpha. image: opened, not decoded."""
    transparent = image.info.get("transparency")
    if kind == "PNG":
        colour = image.tile[0].args if image.tile else ""
        if colour in ("1", "L;2", "L;4") and transparent is None:  # Java reads these by a palette
            return "RGB"
        if colour in ("1", "L;2", "L;4", "L", "I;16B", "LA", "LA;16B"):  # alpha of a grey picture is left out
            return "L"
        opaque = isinstance(transparent, bytes) and not transparent.strip(b"\xff")
        return "RGB" if image.mode in ("P", "RGB") and (transparent is None or opaque) else "RGBA"
    if image.mode in images.SIXTEEN_BIT_GREY or image.mode == "LA" or (image.mode == "L" and transparent is None):
        return "L"
    return "RGBA" if image.mode in ("RGBA", "PA", "RGBa", "La") or transparent is not None else "RGB"


def _grey(image: Any) -> np.ndarray:
    """uint8 [height, width] of the first channel; of 16 bits the low byte, as Spark takes it."""
    if image.mode in images.SIXTEEN_BIT_GREY:
        return (np.asarray(image) & 0xFF).astype(np.uint8)
    return np.asarray(image.convert("L") if image.mode == "1" else image.getchannel(0))
