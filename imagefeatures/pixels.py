"""Pixels as Arrow columns, and back, without a copy."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa


def as_binary(pixels: np.ndarray) -> pa.Array:
    """Pixels [n, height, width, channels] as an Arrow fixed-size binary array of n values; no copy."""
    size = math.prod(pixels.shape[1:]) * pixels.itemsize
    return pa.Array.from_buffers(pa.binary(size), len(pixels), [None, pa.py_buffer(pixels)])


def as_pixels(table: pa.Table, shape: tuple[int, int, int], dtype: str = "uint8") -> np.ndarray:
    """Column `pixels` of n rows (schemas.pixels) as an array of dtype, [n, *shape]; no copy when it is one chunk."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    chunks = [
        np.frombuffer(chunk.buffers()[1], np.uint8, len(chunk) * size, chunk.offset * size)
        for chunk in table["pixels"].chunks
        if len(chunk)
    ]
    whole = chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, np.uint8), *chunks])
    return whole.view(dtype).reshape(-1, *shape)
