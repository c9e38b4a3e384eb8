"""Vectors out of tables."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def vectors_of(table: pa.Table, width: int) -> np.ndarray:
    """Column `features` of n rows, each of this width, as float32 [n, width]; a null value is NaN."""
    return pc.list_flatten(table["features"]).to_numpy(zero_copy_only=False).reshape(-1, width)
