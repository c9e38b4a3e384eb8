"""Pixels as Arrow columns, and back, without a copy.

Files hold a picture as fixed-size bytes: Parquet has no 8-bit type, and would store a list of uint8 as 32-bit integers.
Arrow's `arrow.fixed_shape_tensor` wants such a list, so the column gets that type here, where it is read.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from imagefeatures.errors import InputError
from imagefeatures.preprocessing import Preprocessing

DIMENSIONS = ("height", "width", "channels")
LAYOUTS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""The meaning of so many channels, as Pillow names it."""

TENSOR = "arrow.fixed_shape_tensor"
"""Arrow's name of a column of tensors of one shape; here the key under which a column of bytes says its shape."""


@dataclass(frozen=True)
class PixelFormat:
    """What the bytes of a picture are: dtype [height, width, channels], row-major. layout: names the channels."""

    shape: tuple[int, int, int]
    dtype: str = "uint8"
    layout: str = "RGB"

    @classmethod
    def of_shape(cls, shape: tuple[int, int, int]) -> PixelFormat:
        """The format of uint8 pixels of this shape.

        >>> PixelFormat.of_shape((224, 224, 1)).layout
        'L'
        """
        return cls(shape, layout=LAYOUTS.get(shape[2], "channels"))

    @classmethod
    def of_chain(cls, chain: Preprocessing) -> PixelFormat:
        """The format of the pixels that a chain makes."""
        if chain.channels:
            return cls(chain.shape, chain.dtype, "bands")
        return cls.of_shape(chain.shape)

    @classmethod
    def of_text(cls, text: str) -> PixelFormat:
        """What `as_text` wrote. Raises ValueError for anything else."""
        try:
            said = json.loads(text)
            height, width, channels = map(int, said["shape"])
            found = cls((height, width, channels), np.dtype(said["dtype"]).name, str(said["layout"]))
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{text!r} does not say shape, dtype and layout") from None
        if min(found.shape) < 1 or found.size >= 1 << 31:
            raise ValueError(f"{text!r} is no shape of a picture")
        return found

    @classmethod
    def of_field(cls, field: pa.Field) -> PixelFormat:
        """The format that a column says of itself. Raises InputError for one that says none."""
        said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        try:
            tensor = json.loads(said[TENSOR])
            return cls.of_text(json.dumps({**tensor, "dtype": said["dtype"], "layout": said["layout"]}))
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"column {field.name}: does not say the shape of its pixels; take it from read.batches or read.open"
            ) from None

    def as_text(self) -> str:
        """The format as JSON, for a property of a table."""
        return json.dumps({**self._tensor, "dtype": self.dtype, "layout": self.layout})

    @property
    def metadata(self) -> dict[str, str]:
        """The format as metadata of a column."""
        return {TENSOR: json.dumps(self._tensor), "dtype": self.dtype, "layout": self.layout}

    @property
    def size(self) -> int:
        """The bytes of a picture."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def storage(self) -> pa.DataType:
        """The type of the column in files."""
        return pa.binary(self.size)

    @property
    def tensor_type(self) -> pa.FixedShapeTensorType:
        """The type of the column as Arrow's tensors."""
        return pa.fixed_shape_tensor(pa.from_numpy_dtype(self.dtype), self.shape, dim_names=DIMENSIONS)

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join(map(str, self.shape))}] {self.layout}"

    @property
    def _tensor(self) -> dict[str, object]:
        return {"shape": list(self.shape), "dim_names": list(DIMENSIONS)}


def as_binary(pixels: np.ndarray) -> pa.Array:
    """dtype [n, height, width, channels] as an Arrow fixed-size binary array of n values; no copy if C-contiguous."""
    pixels = np.ascontiguousarray(pixels)
    size = math.prod(pixels.shape[1:]) * pixels.itemsize
    return pa.Array.from_buffers(pa.binary(size), len(pixels), [None, pa.py_buffer(pixels)])


def as_pixels(table: pa.Table | pa.RecordBatch, shape: tuple[int, int, int], dtype: str = "uint8") -> np.ndarray:
    """Column `pixels` of n rows (schemas.pixels) as dtype [n, *shape]; no copy when it is one chunk."""
    column = table.column("pixels")
    chunks = [_array(chunk, dtype) for chunk in _chunks(column) if len(chunk)]
    whole = chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, dtype), *chunks])
    return whole.reshape(-1, *shape)


def pixels(rows: pa.RecordBatch | pa.Table) -> np.ndarray:
    """Column `pixels` of n rows as an array [n, height, width, channels], uint8 unless the column says otherwise.

    The rows of a batch, or of a table in one chunk, are not copied: the array is a read-only view of their memory.
    Raises InputError for a row without pixels, and for a column that does not say its shape.
    """
    format = PixelFormat.of_field(rows.schema.field("pixels"))
    _refuse_nulls(rows.column("pixels"))
    found = as_pixels(rows, format.shape, format.dtype)
    if not found.flags.owndata:
        found.setflags(write=False)
    return found


def tensors(rows: pa.RecordBatch) -> pa.FixedShapeTensorArray:
    """Column `pixels` of a batch as Arrow's tensors, `arrow.fixed_shape_tensor`, in the same memory.

    Raises as `pixels` does.
    """
    format = PixelFormat.of_field(rows.schema.field("pixels"))
    column = rows.column("pixels")
    _refuse_nulls(column)
    kind = format.tensor_type
    values = pa.array([], kind.value_type)
    if len(column):
        # The values begin at 0, and the list has the offset: `to_numpy_ndarray` of pyarrow 26 reads others wrong.
        count = (column.offset + len(column)) * math.prod(format.shape)
        values = pa.Array.from_buffers(kind.value_type, count, [None, column.buffers()[1]])
    stored = pa.Array.from_buffers(kind.storage_type, len(column), [None], offset=column.offset, children=[values])
    found: pa.FixedShapeTensorArray = pa.ExtensionArray.from_storage(kind, stored)
    return found


def _chunks(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _array(chunk: pa.Array, dtype: str) -> np.ndarray:
    size = chunk.type.byte_width
    found = np.frombuffer(chunk.buffers()[1], np.uint8, len(chunk) * size, chunk.offset * size)
    return found.view(dtype)


def _refuse_nulls(column: pa.Array | pa.ChunkedArray) -> None:
    if column.null_count:
        raise InputError(f"row {column.is_null().index(True)}: no pixels")
