"""Rows of a table, copied into new files under another run: vectors and pixels as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from imagefeatures import schemas
from imagefeatures.layout import Layout
from imagefeatures.pixels import PixelFormat
from imagefeatures.staged import StagedFile, write_parquet
from imagefeatures.steps import FEATURIZE

FILE_ROWS = 4096
"""So many rows are held at a time, and are a file: 20 MB of vectors with 1280 values. Small files become fewer."""

FILE_BYTES = 64 << 20
"""The same of pixels: 445 pictures of 224 × 224 × 3."""

GROUP_ROWS = 512
"""The rows of a row group: a later run that reuses one of the vectors reads no more than that of a shard's file."""


def write(
    layout: Layout, table: str, kind: PixelFormat | None, batches: Iterable[pa.RecordBatch], first: int = 0
) -> list[StagedFile]:
    """Write rows as rows of the run of this layout, into the folder of a table. Nothing names the files yet.

    kind: of the table's pixels. batches: with all columns of the table. first: the number of the first file.
    """
    options = {"row_group_size": GROUP_ROWS} | schemas.file_options(kind)
    most = FILE_ROWS if kind is None else max(1, FILE_BYTES // kind.size)
    return [
        write_parquet(layout.new_output(FEATURIZE, number, table), of_run(rows, layout.run_id), **options)
        for number, rows in enumerate(_in_files(batches, most), first)
    ]


def of_run(rows: pa.Table, run_id: str) -> pa.Table:
    """The same rows as rows of another run."""
    at = rows.schema.get_field_index("run_id")
    return rows.set_column(at, rows.schema.field(at), pa.repeat(pa.scalar(run_id), rows.num_rows))


def _in_files(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.Table]:
    """The rows in tables of about `most`."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(batch.num_rows for batch in held) >= most:
            yield pa.Table.from_batches(held)
            held.clear()
    if held:
        yield pa.Table.from_batches(held)
