"""Staged files with a column outside of Parquet: the bytes of images, and pixels, which nobody queries, as they are.

    PAR1 | value | value | … | the other columns | footer | PAR1

To every reader of Parquet it is a file of the other columns, and of where each value begins, its size and its XXH3.
The SHA-256 in a receipt is that of all behind the values: it proves the rows, and each row proves its value. So a value
can be read alone, and goes from the store to where it is needed without a copy. It is proven before it is used; a value
that nobody uses is not read. XXH3 of 128 bits finds what a disk or a network does to bytes, in a sixteenth of the time
that SHA-256 takes. Who could make bytes that it does not tell apart can write the rows as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from imagefeatures import storage
from imagefeatures.staged import StagedFile, read_columns, read_into

MAGIC = b"PAR1"

SCHEMA = b"imagefeatures.schema"
"""The key under which the file says its columns as they were given, serialized by Arrow."""

BEGIN, SIZE, XXH3, SHA256 = "value_begins", "value_size", "value_xxh3", "value_sha256"
_PLACES = [pa.field(BEGIN, pa.int64()), pa.field(SIZE, pa.int64()), pa.field(XXH3, pa.string())]
"""What the file has in the place of the column: null for a null."""

_DIGESTS: dict[str, Callable[[memoryview], str]] = {
    XXH3: xxhash.xxh3_128_hexdigest,
    SHA256: lambda value: hashlib.sha256(value).hexdigest(),  # of a version before
}
"""What the column of a value's digest holds: the digest in hexadecimal."""

GAP = 1 << 20
"""Values that lie no farther apart, in bytes, are read in one request, with all that is between them."""


BUFFER = 1 << 20
"""So many bytes are written at a time, and stay in the processor's cache until then. A system call for each small
value, which ends within a page of the disk's cache, takes longer."""


class BlobWriter:
    """Writes one such file, value by value. Without `end`, or after an error, no file is there.

    schema: of the rows, with the column that is kept outside. most_bytes: of the values, as far as they are known
    before; a file that is no larger is one request to an object store. Raises what storage.draft raises.
    """

    def __init__(self, uri: str, schema: pa.Schema, most_bytes: int) -> None:
        self._uri, self._schema, self._most_bytes = uri, schema, most_bytes
        self._draft: storage.Draft | None = None
        self._size = self._held = 0
        self._places: list[tuple[int | None, int | None, str | None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._draft:
            self._draft.abort()

    def add(self, value: bytes | memoryview | None) -> None:
        """Write the value of the next row, and prove a copy of it: others may be able to change its memory."""
        if value is None:
            self._places.append((None, None, None))
            return
        self._start()
        begin = self._size
        self._places.append((begin, len(value), xxhash.xxh3_128_hexdigest(self._write(value))))

    def end(self, others: pa.Table) -> StagedFile:
        """Write the other columns. Returns the file, which is there then."""
        self._start()
        places = list(zip(*self._places, strict=True)) or [()] * len(_PLACES)
        columns = [*others.columns, *(pa.array(of, field.type) for of, field in zip(places, _PLACES, strict=True))]
        schema = pa.schema([*others.schema, *_PLACES], {SCHEMA: self._schema.serialize().to_pybytes()})
        sink = _Behind(self._size)
        stream = pa.PythonFile(sink, mode="w")
        with pq.ParquetWriter(stream, schema, compression="zstd") as parquet:
            _advance(stream, self._size)  # offsets in Parquet count from the beginning of the file
            parquet.write_table(pa.table(columns, schema=schema))
        data, blob_bytes = b"".join(sink.parts), self._size
        self._write(data)
        self._send(self._buffer[: self._held])
        draft, self._draft = self._draft, None
        if draft:
            draft.commit()
        del self._buffer  # a run may have hundreds of outputs, whose files are ended one after the other
        return StagedFile(self._uri, others.num_rows, self._size, hashlib.sha256(data).hexdigest(), blob_bytes, XXH3)

    def _start(self) -> None:
        if self._draft is None:
            self._draft = storage.draft(self._uri, self._most_bytes + self._most_bytes // 8 + (1 << 20))
            self._buffer = memoryview(bytearray(BUFFER))  # not before: a run may have hundreds of outputs
            self._write(MAGIC)

    def _write(self, data: bytes | memoryview) -> bytes | memoryview:
        """Write bytes, sooner or later. Returns a copy of them; it is valid until the next call."""
        size = len(data)
        if self._held + size > BUFFER:
            self._send(self._buffer[: self._held])
            self._held = 0
        self._size += size
        if size > BUFFER:
            own = bytes(data)  # the same object if it is one that nobody can change
            self._send(own)
            return own
        copied = self._buffer[self._held : self._held + size]
        copied[:] = data
        self._held += size
        return copied

    def _send(self, data: bytes | memoryview) -> None:
        if self._draft and data:
            self._draft.write(data)


class Blobs:
    """Some values of such a file, not read yet, in their order: what `Isolated.run` takes for images' bytes.

    places: of the values, the columns in place of them, without nulls. size: of the memory that takes them, in bytes.
    bounds: int64 [n, 2], where each value begins and ends in it.
    """

    def __init__(self, file: StagedFile, places: Sequence[dict[str, Any]]) -> None:
        column = _digest_column(file)
        self._file, self._digest, self._digests = file, _DIGESTS[column], [place[column] for place in places]
        begins = np.array([place[BEGIN] for place in places], np.int64)
        ends = begins + np.array([place[SIZE] for place in places], np.int64)
        self.size, self.bounds = 0, np.stack([begins, ends], axis=1)
        self._requests: list[tuple[int, int, int]] = []
        cuts = np.flatnonzero(begins[1:] - ends[:-1] > GAP) + 1
        for first, last in pairwise([0, *cuts.tolist(), len(places)] if places else []):
            begin, end = int(begins[first]), int(ends[last - 1])
            self._requests.append((begin, self.size, end - begin))
            self.bounds[first:last] += self.size - begin
            self.size += end - begin

    def __len__(self) -> int:
        return len(self._digests)

    def read_into(self, memory: memoryview) -> None:
        """Read the values, and check each. Raises AuditFailed when one is not what was written, or the file is gone.

        memory: to which nobody else can write, or the values could change behind the check.
        """
        for begin, at, size in self._requests:
            read_into(self._file, begin, memory[at : at + size])
        for (begin, end), digest in zip(self.bounds.tolist(), self._digests, strict=True):
            if self._digest(memory[begin:end]) != digest:
                raise self._file.differs(self._file.size)


class BlobFile:
    """One such file, whose columns are read and proven. rows: all but the one that is kept outside.

    Raises AuditFailed when it is gone, or is not what the receipt says.
    """

    def __init__(self, file: StagedFile) -> None:
        table = read_columns(file)
        places = [BEGIN, SIZE, _digest_column(file)]
        self._file, self._places = file, table.select(places).to_pylist()
        self.rows = table.drop_columns(places)

    def blobs(self, numbers: Sequence[int]) -> Blobs:
        """The values of these rows, in ascending order; none of them is null."""
        return Blobs(self._file, [self._places[number] for number in numbers])

    def pieces(self, numbers: Sequence[int], most_bytes: int) -> Iterator[Sequence[int]]:
        """These rows, in ascending order, cut where the memory of their values would be larger; at least one piece."""
        first = 0
        for at, number in enumerate(numbers):
            begin = self._places[numbers[first]][BEGIN]
            if at > first and self._places[number][BEGIN] + self._places[number][SIZE] - begin > most_bytes:
                yield numbers[first:at]
                first = at
        yield numbers[first:]

    def table(self) -> pa.Table:
        """The rows with all their values, as they were given."""
        given = pa.ipc.read_schema(pa.py_buffer(self.rows.schema.metadata[SCHEMA]))
        (field,) = (field for field in given if field.name not in self.rows.schema.names)
        blobs = self.blobs([number for number, place in enumerate(self._places) if place[SIZE] is not None])
        memory = np.empty(blobs.size, np.uint8).data
        blobs.read_into(memory)
        bounds = iter(blobs.bounds.tolist())
        ends = [(place[SIZE] is not None) and next(bounds) for place in self._places]
        chunks = [_chunk(field.type, list(run), memory) for _, run in groupby(ends, bool)]
        columns = {name: self.rows[name] for name in self.rows.schema.names}
        columns[field.name] = pa.chunked_array(chunks, field.type)
        return pa.table([columns[name] for name in given.names], schema=given)


def read_staged(file: StagedFile, columns: list[str] | None = None) -> pa.Table:
    """Read a staged file of either kind, all of it or some columns.

    Raises AuditFailed when it is gone, or its bytes or its rows are not those of the receipt.
    """
    if not file.blob_bytes:
        return read_columns(file, columns)
    found = BlobFile(file)
    if columns is not None and set(columns) <= set(found.rows.schema.names):
        return found.rows.select(columns)
    return found.table() if columns is None else found.table().select(columns)


class _Behind:
    """The file object that pyarrow writes to, of which nothing counts before a place. parts: what comes behind it."""

    mode, closed = "wb", False

    def __init__(self, place: int) -> None:
        self._left = place
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        if self._left:
            self._left -= len(data)
        else:
            self.parts.append(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered here."""


def _digest_column(file: StagedFile) -> str:
    return file.blob_digest or SHA256


def _advance(stream: pa.NativeFile, place: int) -> None:
    """Let a stream be at a place, by writing bytes that nobody keeps: pyarrow has no other way to tell it."""
    zeros = memoryview(bytes(1 << 20))
    while (left := place - stream.tell()) > 0:
        stream.write(zeros[:left])


def _chunk(kind: pa.DataType, run: list[Any], memory: memoryview) -> pa.Array:
    """Rows that have values, or rows that have none. run: begin and end of each value in memory."""
    if not run[0]:
        return pa.nulls(len(run), kind)
    if pa.types.is_fixed_size_binary(kind):  # they lie side by side
        return pa.Array.from_buffers(kind, len(run), [None, pa.py_buffer(memory[run[0][0] : run[-1][1]])])
    return pa.array([memory[begin:end] for begin, end in run], kind)
