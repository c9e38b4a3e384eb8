"""Parquet files of a step: written in one request, and read back by their SHA-256."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import storage
from imagefeatures.errors import AuditFailed, StoreError, StoreRefused
from imagefeatures.storage.object_reader import Seekable


@dataclass(frozen=True)
class StagedFile:
    """A Parquet file of a step. size: in bytes. sha256: of its bytes, in hexadecimal.

    blob_bytes: so many bytes come before its columns, and are none of those of the SHA-256 (`imagefeatures.blobs`).
    blob_digest: the column that proves each value among them; without one it is that of the version before.
    """

    uri: str
    rows: int
    size: int
    sha256: str
    blob_bytes: int = 0  # of most files, and of those that a version before wrote
    blob_digest: str = ""

    def differs(self, size: int) -> AuditFailed:
        """The error that its bytes are not those that were written. size: how many there are."""
        return AuditFailed(f"{self.uri}: {size} bytes are not the {self.size} that were written (digest differs)")


def read_columns(file: StagedFile, columns: list[str] | None = None) -> pa.Table:
    """Read a staged file as Parquet. Raises AuditFailed when it is gone, or is not what the receipt says."""
    data: bytes | bytearray
    if file.blob_bytes:
        data = bytearray(file.size - file.blob_bytes)
        read_into(file, file.blob_bytes, memoryview(data))
        reader = _Behind(data, file.blob_bytes)
    else:
        try:
            data = storage.read(file.uri)
        except storage.ObjectMissing:
            raise _gone(file) from None
        reader = pa.BufferReader(data)
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise file.differs(file.blob_bytes + len(data))
    # Not pq.read_table: it imports pyarrow.dataset, which takes a noticeable part of a short worker's time.
    table = pq.ParquetFile(reader).read(columns=columns)
    if table.num_rows != file.rows:
        raise AuditFailed(f"{file.uri}: {table.num_rows} rows where the receipt says {file.rows}")
    return table


def read_into(file: StagedFile, start: int, memory: memoryview) -> None:
    """Fill memory with the bytes of a file from `start` on. Raises AuditFailed when it is gone, or too short."""
    try:
        count = storage.read_into(file.uri, start, memory)
    except storage.ObjectMissing:
        raise _gone(file) from None
    except (StoreError, StoreRefused):  # some stores refuse to read behind the end
        if (there := storage.stat(file.uri).size) != file.size:
            raise file.differs(there) from None
        raise
    if count != len(memory):
        raise file.differs(storage.stat(file.uri).size)


def write_parquet(uri: str, table: pa.Table, **options: object) -> StagedFile:
    """Write a table as one Parquet file. options: of pyarrow's write_table."""
    # In memory, then in one request: the size of a shard is bounded, and no reader ever sees half of a file.
    data = _as_parquet(table, **options)
    with ThreadPoolExecutor(1) as pool:  # the disk or the network works while this thread hashes
        written = pool.submit(storage.write, uri, data)
        sha256 = hashlib.sha256(data).hexdigest()
    written.result()
    return StagedFile(uri, table.num_rows, len(data), sha256)


class _Behind(Seekable):
    """The end of a file, as pyarrow reads a file. first: the offset of its first byte."""

    def __init__(self, data: bytearray, first: int) -> None:
        super().__init__(first + len(data))
        self._data, self._first = memoryview(data), first

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._position + size, self._size)
        missing = max(0, min(end, self._first) - self._position)  # pyarrow reads more than the footer, to find it
        part = bytes(missing) + self._data[max(0, self._position - self._first) : max(0, end - self._first)]
        self._position = end
        return part


def _gone(file: StagedFile) -> AuditFailed:
    return AuditFailed(f"{file.uri}: it was written, and is gone")


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
