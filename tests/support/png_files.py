"""PNG files for the tests: one of plain colours, with another chunk in it, and those of palette colours."""

from __future__ import annotations

import numpy as np

from support.photos import encoded, picture, png_chunk, png_made

PIXELS = picture()
PLAIN = encoded(PIXELS, "PNG")
INDICES = PIXELS[..., 0] % 16
PALETTE = np.random.default_rng(1).integers(0, 256, (16, 3)).astype(np.uint8)


def with_chunk(chunk: bytes, behind: bool = False, data: bytes = PLAIN) -> bytes:
    """The PNG with one more chunk before its pixels or behind them."""
    start = data.index(b"IEND" if behind else b"IDAT") - 4
    return data[:start] + chunk + data[start:]


def indexed(palette: bytes | None, indices: np.ndarray = INDICES) -> bytes:
    """A file of palette colours. palette: three bytes for each; None: none. indices: [48, 64], each pixel's colour."""
    data = png_made(64, 48, 8, 3, b"".join(b"\0" + row.tobytes() for row in indices.astype(np.uint8)))
    return data if palette is None else with_chunk(png_chunk(b"PLTE", palette), data=data)
