"""The vectors of a batch as an array."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from imagefeatures.errors import InputError


def vectors(rows: pa.RecordBatch | pa.Table) -> np.ndarray:
    """Column `features` of n rows as float32 [n, width]; without rows [0, 0].

    The rows of a batch, or of a table in one chunk, are not copied: the array is a read-only view of their memory.
    A null inside a vector becomes NaN. Raises InputError for a row without a vector, or with another width than the
    first one.
    """
    column = rows.column("features")
    if column.null_count:
        raise InputError(f"row {column.is_null().index(True)}: no vector")
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    widths = np.concatenate([np.empty(0, np.int32), *(chunk.value_lengths() for chunk in chunks)])
    if not len(widths):
        return np.empty((0, 0), np.float32)
    if (other := np.flatnonzero(widths != widths[0])).size:
        raise InputError(f"row {other[0]}: a vector of {widths[other[0]]} values, where row 0 has {widths[0]}")
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks]
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return whole.astype(np.float32, copy=False).reshape(len(widths), widths[0])
