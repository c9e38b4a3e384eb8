"""Parquet, for pandas, DuckDB, Polars and Spark. zstd; floats without a dictionary, which would only cost."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import schemas
from imagefeatures.exports import tables
from imagefeatures.exports.content import Batches, Content

GROUP_BATCHES = 8
"""A row group has as many rows as so many whole batches, or a few more: 8,192, 42 MB of vectors with 1,280 values."""

TEXTS = ("label", "partition_key", "mode", "model", "fingerprint", "run_id")
"""The columns that repeat, and are stored as a dictionary."""


def write(content: Content, batches: Batches, path: Path) -> None:
    """Write the rows as one Parquet file: the facts, and `features` as list<float>, or a column for each value.

    Pixels are bytes of a fixed size, as the table has them.
    """
    lists = pa.list_(pa.field("element", pa.float32(), nullable=False))
    columns = tables.schema(content, lists, content.kind and content.kind.storage)
    enough = content.batch_rows * (GROUP_BATCHES if content.kind is None else 1)
    with _writer(path, columns, {} if content.kind is None else _for_pixels(content)) as writer:
        group: list[pa.RecordBatch] = []
        for batch in batches:
            group.append(tables.record_batch(batch, columns))
            if sum(batch.num_rows for batch in group) >= enough:
                writer.write_table(pa.Table.from_batches(group))
                group = []
        if group or not content.rows:
            writer.write_table(pa.Table.from_batches(group, columns))


def facts_writer(path: Path, facts: pa.Schema) -> pq.ParquetWriter:
    """Writes facts alone, for a format that has no room for them in its own file."""
    return _writer(path, facts, {})


def _for_pixels(content: Content) -> dict[str, object]:
    options = schemas.pixels_file(content.row_bytes)
    return {name: options[name] for name in ("compression_level", "write_batch_size")} | {
        "write_statistics": content.facts.names
    }


def _writer(path: Path, columns: pa.Schema, options: dict[str, object]) -> pq.ParquetWriter:
    repeated = [name for name in TEXTS if name in columns.names]
    return pq.ParquetWriter(
        path, columns, compression="zstd", use_dictionary=repeated, write_page_checksum=True, **options
    )
