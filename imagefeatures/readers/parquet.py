"""Record batches of the data files that a plan names."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import names, schemas, storage
from imagefeatures.errors import InputError
from imagefeatures.storage.object_reader import ObjectReader
from imagefeatures.wording import several

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Plan, SnapshotFile

BATCH_ROWS = 1024
"""The most rows of a batch: 5 MB of vectors with 1280 values."""

BATCH_BYTES = 16 << 20
"""The most bytes of pixels in a batch: 111 pictures of 224 × 224 × 3."""

SMALL_FILE = 4 << 20
"""A file of at most this size, in bytes, is read before its turn. A shard of 512 vectors has 2 MB."""

FILES_AHEAD = 4
"""How many small files of an object store are read at the same time: it takes its time over each answer.

Of local files one is read ahead: four were no faster on quiet cores, and on busy ones took a third more CPU time.
"""

LARGE_FILE = 64 << 20
"""Up to this size, in bytes, a row group is fetched in few requests and held while it is read."""

BUFFER = 1 << 20
"""Of a larger file, this many bytes of each column are held."""


def schema_of(dataset: str, columns: Sequence[str] | None = None, schema: pa.Schema | None = None) -> pa.Schema:
    """The columns of a table, or those of them that are named, in the order of the schema.

    schema: of the table, where it is known what its pixels are.
    Raises InputError for a name that is none of them, for no name, and for a text in place of a list.
    """
    schema = schemas.of_table(dataset) if schema is None else schema
    if columns is None:
        return schema
    columns = several(names.table_name(dataset), "columns", columns)
    if not columns or (unknown := [name for name in columns if name not in schema.names]):
        which = f"no column {unknown[0]!r}" if columns else "no column is chosen"
        raise InputError(f"{names.table_name(dataset)}: {which}; it has {', '.join(schema.names)}")
    return pa.schema([field for field in schema if field.name in columns])


def plan_batches(
    plan: Plan, dataset: str, columns: Sequence[str] | None, together: int = 1
) -> Iterator[pa.RecordBatch]:
    """The rows that the plan asks for, at most BATCH_ROWS at a time, in the columns of `schema_of`.

    together: a batch is taken from each of so many files in turn; with 1 they come file by file.
    """
    chosen = schema_of(dataset, columns, plan.schema)
    needed = [name for name in plan.schema.names if name in plan.mentions or name in chosen.names]
    held = LARGE_FILE if together == 1 else SMALL_FILE  # several files are open at the same time
    return _in_turn(
        plan.files, partial(_rows, plan, schema_of(dataset, needed, plan.schema), chosen.names, held), together
    )


def file_batches(
    uri: str,
    size: int,
    columns: Sequence[str],
    rows: Sequence[int] | None = None,
    held: int | None = None,
    most: int = BATCH_ROWS,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """A Parquet file in batches of `batch_rows`, or of `most` rows: (the number of its first row, the batch).

    size: of the file, in bytes. columns: those of them that the file has, in the file's order and types.
    rows: only row groups that hold one of these. held: up to this size a row group is fetched in few requests and held
    while it is read; by default LARGE_FILE. Where the first rows suffice, a small `most` decodes their pages alone.
    Checksums of pages are verified where they were written.
    Raises what `storage.read_part` raises; pa.ArrowException or OSError for what is damaged or no Parquet file.
    """
    large = size > (LARGE_FILE if held is None else held)
    opened = pq.ParquetFile(
        (_IntoArrow if uri.startswith("file://") else ObjectReader)(uri, size),
        pre_buffer=not large,
        buffer_size=BUFFER if large else 0,
        page_checksum_verification=True,
    )
    stored = opened.schema_arrow
    most = min(most, batch_rows([stored.field(name).type for name in columns if name in stored.names]))
    after = 0
    for group in range(opened.num_row_groups):
        first, after = after, after + opened.metadata.row_group(group).num_rows
        if rows is None or any(first <= row < after for row in rows):
            for batch in opened.iter_batches(most, [group], list(columns), use_threads=False):
                yield first, batch
                first += batch.num_rows


class _IntoArrow(ObjectReader):
    """A file of this machine that is read into Arrow's memory.

    Python asks the system for new memory for each of so large texts of bytes, which takes as long as the read itself.
    """

    def read(self, size: int = -1) -> pa.Buffer:  # pyarrow takes either
        memory = pa.allocate_buffer(self._length(size))
        count = storage.read_into(self._uri, self._position, memoryview(memory)) if memory.size else 0
        self._position += count
        return memory.slice(0, count)


def batch_rows(kinds: Sequence[pa.DataType]) -> int:
    """The most rows of a batch with columns of these types: BATCH_ROWS, and fewer where rows have pixels.

    >>> batch_rows([pa.string()]), batch_rows([pa.string(), pa.binary(224 * 224 * 3)])
    (1024, 111)
    """
    sizes = sum(int(kind.byte_width) for kind in kinds if pa.types.is_fixed_size_binary(kind))
    return max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, sizes)))


def files_ahead(files: Iterable[SnapshotFile]) -> int:
    """How many small files are read before their turn: see FILES_AHEAD."""
    return 1 if all(file.uri.startswith("file://") for file in files) else FILES_AHEAD


def first_rows(batches: Iterator[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    """The first `most` rows of the batches. What comes after them is not read."""
    left = most
    for batch in batches:
        if batch.num_rows >= left:
            yield batch.slice(0, left)
            return
        left -= batch.num_rows
        yield batch


def with_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in the columns and types of the schema; a column that it lacks is null."""
    present = set(batch.schema.names)
    columns = [
        batch.column(field.name).cast(field.type) if field.name in present else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _in_turn(
    files: Sequence[SnapshotFile], read: Callable[[SnapshotFile], Iterator[pa.RecordBatch]], together: int
) -> Iterator[pa.RecordBatch]:
    """The batches of the files. Small files are read ahead, a larger one when its turn has come."""
    count = files_ahead(files)
    pool = ThreadPoolExecutor(count)

    def begun(file: SnapshotFile) -> Iterator[pa.RecordBatch]:
        if file.size > SMALL_FILE:
            return read(file)
        ahead = pool.submit(list, read(file))
        return (batch for each in (ahead,) for batch in each.result())

    waiting = iter(files)
    turns: deque[Iterator[pa.RecordBatch]] = deque()
    try:
        ahead = deque(map(begun, islice(waiting, count)))
        while ahead or turns:
            while ahead and len(turns) < together:
                turns.append(ahead.popleft())
                ahead.extend(map(begun, islice(waiting, 1)))
            if (batch := next(turns[0], None)) is None:
                turns.popleft()
            else:
                yield batch
                turns.rotate(-1)
    finally:
        pool.shutdown(cancel_futures=True)


def _rows(plan: Plan, needed: pa.Schema, chosen: list[str], held: int, file: SnapshotFile) -> Iterator[pa.RecordBatch]:
    """The rows of a file that the plan asks for. needed: the columns to read; chosen: those of them to hand out."""
    for batch in _read(file, needed.names, held):
        batch = with_schema(batch, needed)
        if plan.condition is not None:
            batch = batch.filter(plan.condition)
        if batch.num_rows:
            yield batch.select(chosen)


def _read(file: SnapshotFile, columns: Sequence[str], held: int) -> Iterator[pa.RecordBatch]:
    if file.by_iceberg is None:
        for _, batch in file_batches(file.uri, file.size, columns, held=held):
            yield batch
    else:
        for batch in file.by_iceberg(columns):
            most = batch_rows(batch.schema.types)
            for start in range(0, batch.num_rows, most):
                yield batch.slice(start, most)
