"""Batches of an export as record batches: the facts, then the values as one column of lists or as a column each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from imagefeatures.exports.content import Batch, Content


def schema(content: Content, lists: pa.DataType) -> pa.Schema:
    """The columns of an export that is a table. lists: the type of the values where they are one column."""
    if content.flat:
        values = [pa.field(name, pa.float32(), nullable=False) for name in content.value_names]
    else:
        values = [pa.field(content.values, lists, nullable=False)]
    return pa.schema([*content.facts, *values], metadata=content.metadata())


def record_batch(batch: Batch, columns: pa.Schema) -> pa.RecordBatch:
    """A batch in the columns of `schema`. The values are copied only where each is a column of its own."""
    count, width = batch.values.shape
    values: list[pa.Array]
    kind = columns.field(batch.facts.num_columns).type
    if kind == pa.float32():
        values = [pa.array(column) for column in np.ascontiguousarray(batch.values.T)]
    elif pa.types.is_fixed_size_list(kind):
        values = [pa.FixedSizeListArray.from_arrays(pa.array(batch.values.reshape(-1)), type=kind)]
    else:
        ends = pa.array(np.arange(count + 1, dtype=np.int32) * width)
        values = [pa.ListArray.from_arrays(ends, pa.array(batch.values.reshape(-1)), type=kind)]
    return pa.RecordBatch.from_arrays([*batch.facts.columns, *values], schema=columns)
