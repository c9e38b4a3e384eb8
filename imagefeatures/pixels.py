"""Pixels as Arrow columns, and back, without a copy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from imagefeatures import schemas


def as_binary(pixels: np.ndarray) -> pa.Array:
    """uint8 [n, 224, 224, 3] as an Arrow fixed-size binary array of n values; no copy."""
    return pa.Array.from_buffers(pa.binary(schemas.PIXELS_BYTES), len(pixels), [None, pa.py_buffer(pixels)])


def as_pixels(table: pa.Table) -> np.ndarray:
    """The pixels of a schemas.PIXELS table as uint8 [n, 224, 224, 3]; no copy when it is one chunk."""
    chunks = [
        np.frombuffer(
            chunk.buffers()[1], np.uint8, len(chunk) * schemas.PIXELS_BYTES, chunk.offset * schemas.PIXELS_BYTES
        )
        for chunk in table["pixels"].chunks
        if len(chunk)
    ]
    whole = chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, np.uint8), *chunks])
    return whole.reshape(-1, *schemas.PIXELS_SHAPE)
