"""What a training reads of each row besides its label: its vector, or its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from imagefeatures import pixels
from imagefeatures.errors import InputError
from imagefeatures.pixels import PixelFormat
from imagefeatures.readers.vectors import vectors


@dataclass(frozen=True)
class Values:
    """The values of a row. column: that has them. shape, dtype: of one row's. table: as messages call it."""

    table: str
    column: str
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of_vectors(cls, table: str, rows: Iterator[pa.RecordBatch]) -> Values:
        """Those of the vectors in a table. rows: of it, of which the first one says how many values a vector has."""
        first = next(rows, None)
        return cls(table, "features", (0 if first is None else vectors(first.slice(0, 1)).shape[1],), "float32")

    @classmethod
    def of_pixels(cls, table: str, schema: pa.Schema) -> Values:
        """Those of a table of pixels."""
        kind = PixelFormat.of_field(schema.field("pixels"))
        return cls(table, "pixels", kind.shape, kind.dtype)

    @property
    def row_bytes(self) -> int:
        return max(1, math.prod(self.shape)) * np.dtype(self.dtype).itemsize

    def empty(self, rows: int) -> np.ndarray:
        """Memory for so many rows: dtype [rows, *shape].

        It is Arrow's: its allocator keeps what was freed, where NumPy's asks the system for each batch anew; and it
        begins at a multiple of 64 bytes, without which TensorFlow copies an array.
        """
        size = rows * math.prod(self.shape) * np.dtype(self.dtype).itemsize
        if not size:
            return np.empty((rows, *self.shape), self.dtype)
        return np.frombuffer(pa.allocate_buffer(size), self.dtype).reshape(rows, *self.shape)

    def of(self, rows: pa.RecordBatch) -> np.ndarray:
        """The values of n rows, dtype [n, *shape]; a view where they need no copy. Raises InputError for others."""
        if self.column == "pixels":
            return pixels.pixels(rows)
        found = vectors(rows)
        if len(found) and found.shape[1:] != self.shape:
            raise InputError(f"{self.table}: vectors of {self.shape[0]} values and of {found.shape[1]}")
        return found
