"""Arrow's own file format, which readers map into memory and never parse. Not compressed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from imagefeatures.exports import tables
from imagefeatures.exports.content import Batches, Content


def write(content: Content, batches: Batches, path: Path) -> None:
    """Write the rows as one Arrow file: the facts, and `features` as lists of a fixed size, or a column for each.

    Pixels are Arrow's own tensors, `arrow.fixed_shape_tensor`.
    """
    lists = pa.list_(pa.field("element", pa.float32(), nullable=False), content.shape[0])
    columns = tables.schema(content, lists, content.kind and content.kind.tensor_type)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, columns) as writer:
        for batch in batches:
            writer.write_batch(tables.record_batch(batch, columns))
