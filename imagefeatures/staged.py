"""Parquet files of a step: written in one request, and read back by their SHA-256."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import storage
from imagefeatures.errors import AuditFailed


@dataclass(frozen=True)
class StagedFile:
    """A Parquet file of a step. size: in bytes. sha256: of its bytes, in hexadecimal."""

    uri: str
    rows: int
    size: int
    sha256: str


def read_staged(file: StagedFile, columns: list[str] | None = None) -> pa.Table:
    """Read a staged file. Raises AuditFailed when it is gone, or its bytes or its rows are not those of the receipt."""
    try:
        data = storage.read(file.uri)
    except storage.ObjectMissing:
        raise AuditFailed(f"{file.uri}: it was written, and is gone") from None
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise AuditFailed(f"{file.uri}: {len(data)} bytes are not the {file.size} that were written (SHA-256 differs)")
    # Not pq.read_table: it imports pyarrow.dataset, which takes a noticeable part of a short worker's time.
    table = pq.ParquetFile(pa.BufferReader(data)).read(columns=columns)
    if table.num_rows != file.rows:
        raise AuditFailed(f"{file.uri}: {table.num_rows} rows where the receipt says {file.rows}")
    return table


def write_parquet(uri: str, table: pa.Table, **options: object) -> StagedFile:
    """Write a table as one Parquet file. options: of pyarrow's write_table."""
    # In memory, then in one request: the size of a shard is bounded, and no reader ever sees half of a file.
    data = _as_parquet(table, **options)
    with ThreadPoolExecutor(1) as pool:  # the disk or the network works while this thread hashes
        written = pool.submit(storage.write, uri, data)
        sha256 = hashlib.sha256(data).hexdigest()
    written.result()
    return StagedFile(uri, table.num_rows, len(data), sha256)


def _as_parquet(table: pa.Table, **options: object) -> memoryview:
    """The bytes of the file, valid until the thread's next call."""
    buffer = _scratch_buffer(table)
    with pa.FixedSizeBufferWriter(buffer) as sink:
        pq.write_table(table, sink, **options)
        size = sink.tell()
    return memoryview(buffer)[:size]


_per_thread = threading.local()
"""buffer: the thread's scratch buffer, kept because allocating a new one costs more than writing a file into it."""


def _scratch_buffer(table: pa.Table) -> pa.Buffer:
    """A buffer that holds the table as Parquet under any compression. The thread's next call returns it again."""
    most = table.nbytes + table.nbytes // 8 + 64 * table.num_rows * table.num_columns + (1 << 20)
    if not hasattr(_per_thread, "buffer") or _per_thread.buffer.size < most:
        _per_thread.buffer = pa.allocate_buffer(most)
    return _per_thread.buffer
