"""CSV, with a line of names. Every number is written so that it is read back as the same float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from imagefeatures.exports import tables
from imagefeatures.exports.content import Batch, Batches, Content


def write(content: Content, batches: Batches, path: Path) -> None:
    """Write the rows as one CSV file: the facts, and `features` as a text that is JSON, or a column for each value.

    A null is an empty field.
    """
    columns = tables.schema(content, pa.string())
    with pa.OSFile(str(path), "wb") as sink, pyarrow.csv.CSVWriter(sink, columns) as writer:
        for batch in batches:
            writer.write_batch(tables.record_batch(batch, columns) if content.flat else _with_texts(batch, columns))


def _with_texts(batch: Batch, columns: pa.Schema) -> pa.RecordBatch:
    count, width = batch.values.shape
    numbers = pc.cast(pa.array(batch.values.reshape(-1)), pa.string())
    ends = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    joined = pc.binary_join(pa.ListArray.from_arrays(ends, numbers), ",")
    texts = pc.binary_join_element_wise("[", joined, "]", "")
    return pa.RecordBatch.from_arrays([*batch.facts.columns, texts], schema=columns)
