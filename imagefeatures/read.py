"""Reads the tables: record batches of one snapshot, and the vectors in them.

    for rows in read.batches(settings, "fruit", columns=("uri", "features"), partitions=("2026-11-02",)):
        vectors = read.vectors(rows)  # float32 [n, width]

Every reader goes this way: the demo, the page in Airflow, the examples of docs/tables.md. It makes nothing and changes
nothing: no table, no column, no SQLite file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imagefeatures import names, schemas
from imagefeatures.errors import InputError
from imagefeatures.settings import Settings
from imagefeatures.storage.object_reader import ObjectReader

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Plan, Selection, SnapshotFile

BATCH_ROWS = 1024
"""The most rows of a batch: 5 MB of vectors with 1280 values."""

SMALL_FILE = 4 << 20
"""A file of at most this size, in bytes, is read before its turn. A shard of 512 vectors has 2 MB."""

FILES_AHEAD = 4
"""How many small files are read at the same time: an object store takes its time over each answer."""

LARGE_FILE = 64 << 20
"""Up to this size, in bytes, a row group is fetched in few requests and held while it is read."""

BUFFER = 1 << 20
"""Of a larger file, this many bytes of each column are held."""


def batches(
    settings: Settings, dataset: str, *, columns: Sequence[str] | None = None, **selection: Unpack[Selection]
) -> Iterator[pa.RecordBatch]:
    """The rows of features.<dataset>, at most BATCH_ROWS at a time. Memory does not grow with the table.

    The snapshot is settled by the call: what is published while the batches are read changes nothing in them.
    Every batch has the columns of this version's schema, in its order; a column that an older file lacks is null.
    The same snapshot gives the same rows in the same order each time: partition by partition, and in each shard by
    shard.

    dataset: or `quarantine` or `runs`, which are empty until something is published.
    columns: these alone. selection: see imagefeatures/catalog/snapshots.py.
        partitions: rows of these partition keys alone; a key that was never published has none.
        labels: rows with one of these labels alone; None among them stands for rows without a label.
        where: a condition on the columns, "label = 'apple' and width > 100", or an expression of pyiceberg's.
        snapshot: the id of an earlier snapshot; by default the current one.
        run_id: the table as this run left it, with the rows of all other runs that it held then.

    Raises InputError (no such dataset is published, unknown column, snapshot or run, a condition that is wrong),
    CatalogError, StoreError.
    """
    from imagefeatures.catalog import failures, snapshots  # pyiceberg takes a second

    chosen = _schema(dataset, columns)
    plan = snapshots.plan(settings, dataset, selection)
    needed = [name for name in _schema(dataset).names if name in plan.mentions or name in chosen.names]
    rows = _in_order(plan.files, partial(_rows, plan, _schema(dataset, needed), chosen.names))
    return failures.each(rows, names.table_name(dataset), settings.catalog)


def table(
    settings: Settings, dataset: str, *, columns: Sequence[str] | None = None, **selection: Unpack[Selection]
) -> pa.Table:
    """What `batches` reads, at once: a million vectors of 1280 values take 5 GB."""
    rows = batches(settings, dataset, columns=columns, **selection)
    return pa.Table.from_batches(rows, schema=_schema(dataset, columns))


def files(
    settings: Settings,
    dataset: str,
    *,
    partitions: Sequence[str] | None = None,
    snapshot: int | None = None,
    run_id: str | None = None,
) -> list[str]:
    """The URIs of the data files of features.<dataset>, for engines that read Parquet: DuckDB, Spark.

    They hold the rows that `batches` would read with the same arguments, and no others. Raises as it does; and
    InputError when rows of a file were deleted one by one, since the file itself still shows them.
    """
    from imagefeatures.catalog import snapshots

    plan = snapshots.plan(settings, dataset, {"partitions": partitions, "snapshot": snapshot, "run_id": run_id})
    for file in plan.files:
        if file.by_iceberg is not None:
            raise InputError(f"{file.uri}: rows of it were deleted, or it is no plain Parquet file; use read.batches")
    return [file.uri for file in plan.files]


def runs(settings: Settings, dataset: str | None = None) -> list[dict[str, Any]]:
    """The rows of features.runs, of all datasets or of one, in order of dataset and then newest partition first."""
    from imagefeatures.catalog.filters import equal

    rows = table(settings, names.RUNS, where=None if dataset is None else equal("dataset", dataset))
    ordered = rows.sort_by([("dataset", "ascending"), ("partition_key", "descending")])
    dicts: list[dict[str, Any]] = ordered.to_pylist()
    return dicts


def vectors(rows: pa.RecordBatch | pa.Table) -> np.ndarray:
    """Column `features` of n rows as float32 [n, width]; without rows [0, 0].

    The rows of a batch, or of a table in one chunk, are not copied: the array is a read-only view of their memory.
    A null inside a vector becomes NaN. Raises InputError for a row without a vector, or with another width than the
    first one.
    """
    column = rows.column("features")
    if column.null_count:
        raise InputError(f"row {pc.index(pc.is_null(column), True)}: no vector")
    widths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    if not len(widths):
        return np.empty((0, 0), np.float32)
    if (other := np.flatnonzero(widths != widths[0])).size:
        raise InputError(f"row {other[0]}: a vector of {widths[other[0]]} values, where row 0 has {widths[0]}")
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks]
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return whole.astype(np.float32, copy=False).reshape(len(widths), widths[0])


def file_batches(
    uri: str, size: int, columns: Sequence[str], rows: Sequence[int] | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """A Parquet file in batches of at most BATCH_ROWS rows: (the number of its first row, the batch).

    size: of the file, in bytes. columns: those of them that the file has, in the file's order and types.
    rows: only row groups that hold one of these. Checksums of pages are verified where they were written.
    Raises what `storage.read_part` raises; pa.ArrowException or OSError for what is damaged or no Parquet file.
    """
    large = size > LARGE_FILE
    opened = pq.ParquetFile(
        ObjectReader(uri, size),
        pre_buffer=not large,
        buffer_size=BUFFER if large else 0,
        page_checksum_verification=True,
    )
    after = 0
    for group in range(opened.num_row_groups):
        first, after = after, after + opened.metadata.row_group(group).num_rows
        if rows is None or any(first <= row < after for row in rows):
            for batch in opened.iter_batches(BATCH_ROWS, [group], list(columns), use_threads=False):
                yield first, batch
                first += batch.num_rows


def _schema(dataset: str, columns: Sequence[str] | None = None) -> pa.Schema:
    """The columns of a table, or those of them that are named, in the order of the schema."""
    schema = schemas.TABLES.get(dataset, schemas.FEATURES)
    if columns is None:
        return schema
    if not columns or (unknown := [name for name in columns if name not in schema.names]):
        which = f"no column {unknown[0]!r}" if columns else "no column is chosen"
        raise InputError(f"{names.table_name(dataset)}: {which}; it has {', '.join(schema.names)}")
    return pa.schema([field for field in schema if field.name in columns])


def _in_order(
    files: Sequence[SnapshotFile], read: Callable[[SnapshotFile], Iterator[pa.RecordBatch]]
) -> Iterator[pa.RecordBatch]:
    """The batches of each file, file by file. Small files are read ahead, a larger one when its turn has come."""
    pool = ThreadPoolExecutor(FILES_AHEAD)

    def begun(file: SnapshotFile) -> Callable[[], Iterable[pa.RecordBatch]]:
        return partial(read, file) if file.size > SMALL_FILE else pool.submit(list, read(file)).result

    waiting = iter(files)
    try:
        ahead = deque(map(begun, islice(waiting, FILES_AHEAD)))
        while ahead:
            yield from ahead.popleft()()
            ahead.extend(map(begun, islice(waiting, 1)))
    finally:
        pool.shutdown(cancel_futures=True)


def _rows(plan: Plan, needed: pa.Schema, chosen: list[str], file: SnapshotFile) -> Iterator[pa.RecordBatch]:
    """The rows of a file that the plan asks for. needed: the columns to read; chosen: those of them to hand out."""
    for batch in _read(file, needed.names):
        batch = with_schema(batch, needed)
        if plan.condition is not None:
            batch = batch.filter(plan.condition)
        if batch.num_rows:
            yield batch.select(chosen)


def _read(file: SnapshotFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    if file.by_iceberg is None:
        for _, batch in file_batches(file.uri, file.size, columns):
            yield batch
    else:
        for batch in file.by_iceberg(columns):
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.slice(start, BATCH_ROWS)


def with_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in the columns and types of the schema; a column that it lacks is null."""
    present = set(batch.schema.names)
    columns = [
        batch.column(field.name).cast(field.type) if field.name in present else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
