"""NumPy's own file, which is mapped into memory, with the facts as Parquet beside it.

A folder has the layout of clip-retrieval: img_emb/img_emb_0000.npy and metadata/metadata_0000.parquet, with their rows
in the same order. clip-retrieval, embedding_reader and autofaiss read it as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from imagefeatures.exports import parquet
from imagefeatures.exports.content import BATCH_ROWS, Batches, Content, cut_at
from imagefeatures.exports.formats import beside

FILE_ROWS = 64 * BATCH_ROWS
"""The rows of a file in a folder: 65,536, 336 MB of vectors with 1,280 values."""

URI_THERE = "image_path"
"""The name by which clip-retrieval knows an image's URI."""


def write(content: Content, batches: Batches, path: Path) -> None:
    """Write float32 [rows, width], and the facts beside it: fruit.npy and fruit.parquet.

    In place of vectors it may be pixels, [rows, height, width, channels].
    """
    _write(path, path.parent / beside(path.name, ".parquet"), content.rows, content, batches)


def write_folder(content: Content, batches: Batches, folder: Path) -> None:
    """Write files of at most FILE_ROWS rows, numbered from 0. Of vectors alone: the layout knows no pixels."""
    vectors, facts = folder / "img_emb", folder / "metadata"
    vectors.mkdir()
    facts.mkdir()
    batches = cut_at(batches, FILE_ROWS)
    for number, first in enumerate(range(0, max(content.rows, 1), FILE_ROWS)):
        rows = min(FILE_ROWS, content.rows - first)
        digits = f"{number:04d}"
        _write(vectors / f"img_emb_{digits}.npy", facts / f"metadata_{digits}.parquet", rows, content, batches)


def header(content: Content, *rows: int) -> dict[str, object]:
    """What NumPy's header says of the values of so many rows, row by row; without a number, of one row."""
    return {"descr": content.dtype.str, "fortran_order": False, "shape": (*rows, *content.shape)}


def _write(vectors: Path, facts: Path, rows: int, content: Content, batches: Batches) -> None:
    """Write the next `rows` rows. The shape stands first in the file, so it must be known."""
    in_folder = vectors.parent != facts.parent
    columns = pa.schema([*_named(content.facts, in_folder)], metadata=content.metadata())
    with vectors.open("xb") as sink, parquet.facts_writer(facts, columns) as writer:
        np.lib.format.write_array_header_1_0(sink, header(content, rows))
        empty = pa.RecordBatch.from_arrays([pa.array([], field.type) for field in columns], schema=columns)
        writer.write_batch(empty)
        while rows > 0:
            batch = next(batches)
            sink.write(np.ascontiguousarray(batch.values, content.dtype).data)
            writer.write_batch(pa.RecordBatch.from_arrays(batch.facts.columns, schema=columns))
            rows -= len(batch.values)


def _named(facts: pa.Schema, in_folder: bool) -> Iterator[pa.Field]:
    return (field.with_name(URI_THERE) if in_folder and field.name == "uri" else field for field in facts)
