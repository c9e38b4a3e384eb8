"""Batches of an export as record batches: the facts, then the values as one column of lists or as a column each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from imagefeatures.exports.content import Batch, Content
from imagefeatures.pixels import as_binary


def schema(content: Content, lists: pa.DataType, pixels: pa.DataType | None = None) -> pa.Schema:
    """The columns of an export that is a table.

    lists: the type of vectors where they are one column. pixels: that of pixels; None where the values are vectors.
    """
    if content.kind is not None:
        metadata = content.kind.metadata if pa.types.is_fixed_size_binary(pixels) else None
        values = [pa.field(content.values, pixels, nullable=False, metadata=metadata)]
    elif content.flat:
        values = [pa.field(name, pa.float32(), nullable=False) for name in content.value_names]
    else:
        values = [pa.field(content.values, lists, nullable=False)]
    return pa.schema([*content.facts, *values], metadata=content.metadata())


def record_batch(batch: Batch, columns: pa.Schema) -> pa.RecordBatch:
    """A batch in the columns of `schema`. The values are copied only where each is a column of its own."""
    return pa.RecordBatch.from_arrays([*batch.facts.columns, *_values(batch, columns)], schema=columns)


def _values(batch: Batch, columns: pa.Schema) -> list[pa.Array]:
    kind = columns.field(batch.facts.num_columns).type
    if kind == pa.float32():
        return [pa.array(column) for column in np.ascontiguousarray(batch.values.T)]
    if pa.types.is_fixed_size_binary(kind):
        return [as_binary(batch.values)]
    values = pa.array(batch.values.reshape(-1))
    if isinstance(kind, pa.FixedShapeTensorType):
        return [pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(values, type=kind.storage_type))]
    if pa.types.is_fixed_size_list(kind):
        return [pa.FixedSizeListArray.from_arrays(values, type=kind)]
    count, width = batch.values.shape
    ends = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    return [pa.ListArray.from_arrays(ends, values, type=kind)]
