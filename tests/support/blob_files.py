"""A table as a staged file, with a column outside of Parquet."""

from __future__ import annotations

import pyarrow as pa

from imagefeatures.blobs import BlobWriter
from imagefeatures.staged import StagedFile


def write_blobs(uri: str, table: pa.Table, column: str) -> StagedFile:
    """column: the one that is kept outside."""
    with BlobWriter(uri, table.schema, table[column].nbytes) as writer:
        for value in table[column].to_pylist():
            writer.add(value)
        return writer.end(table.drop_columns([column]))
