"""Pixels as Arrow columns, and back, without a copy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def as_binary(pixels: np.ndarray) -> pa.Array:
    """uint8 [n, height, width, channels] as an Arrow fixed-size binary array of n values; no copy."""
    size = int(np.prod(pixels.shape[1:]))
    return pa.Array.from_buffers(pa.binary(size), len(pixels), [None, pa.py_buffer(pixels)])


def as_pixels(table: pa.Table, shape: tuple[int, int, int]) -> np.ndarray:
    """Column `pixels` of n rows (schemas.pixels) as uint8 [n, *shape]; no copy when it is one chunk."""
    size = int(np.prod(shape))
    chunks = [
        np.frombuffer(chunk.buffers()[1], np.uint8, len(chunk) * size, chunk.offset * size)
        for chunk in table["pixels"].chunks
        if len(chunk)
    ]
    whole = chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, np.uint8), *chunks])
    return whole.reshape(-1, *shape)
