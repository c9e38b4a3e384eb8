"""The rows of the files of a plan, for an export. Small files are read before their turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from imagefeatures import read
from imagefeatures.readers.parquet import BATCH_ROWS, SMALL_FILE, files_ahead

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Plan, SnapshotFile

T = TypeVar("T")


def ahead(
    tasks: Sequence[T],
    file_of: Callable[[T], SnapshotFile],
    rows: Callable[[SnapshotFile], Iterator[pa.RecordBatch]],
) -> Iterator[tuple[T, Iterable[pa.RecordBatch]]]:
    """Each task with the rows of its file. Small files are read ahead, as many as `read.batches` does.

    Where two tasks of the same small file follow each other, it is read once.
    """
    count = files_ahead(map(file_of, tasks))
    pool = ThreadPoolExecutor(count)
    last: SnapshotFile | None = None
    reading: Callable[[], Iterable[pa.RecordBatch]] = tuple

    def begun(task: T) -> tuple[T, Callable[[], Iterable[pa.RecordBatch]]]:
        nonlocal last, reading
        file = file_of(task)
        if file.size > SMALL_FILE:
            return task, partial(rows, file)
        if file is not last:
            last, reading = file, pool.submit(list, rows(file)).result
        return task, reading

    waiting = iter(tasks)
    try:
        ahead = deque(map(begun, islice(waiting, count)))
        while ahead:
            task, result = ahead.popleft()
            ahead.extend(map(begun, islice(waiting, 1)))
            yield task, result()
    finally:
        pool.shutdown(cancel_futures=True)


def file_rows(
    plan: Plan, columns: Sequence[str], file: SnapshotFile, most: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """The rows of a file that the plan asks for, in its order; the columns in the order that is given.

    A `copy` that is null is 0. most: the most rows of a batch; few where the first rows suffice.
    """
    needed = pa.schema([field for field in plan.schema if field.name in plan.mentions or field.name in columns])
    stored: Iterator[pa.RecordBatch]
    if file.by_iceberg is None:
        stored = (batch for _, batch in read.file_batches(file.uri, file.size, needed.names, most=most))
    else:
        stored = file.by_iceberg(needed.names)
    for batch in stored:
        batch = read.with_schema(batch, needed)
        if plan.condition is not None:
            batch = batch.filter(plan.condition)
        if batch.num_rows:
            yield _with_copies_counted(batch).select(columns)


def _with_copies_counted(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with 0 where `copy` is null, as it is in rows that are older than the column: no format holds both."""
    at = batch.schema.get_field_index("copy")
    if at < 0 or not batch.column(at).null_count:
        return batch
    return batch.set_column(at, batch.schema.field(at), batch.column(at).fill_null(0))
