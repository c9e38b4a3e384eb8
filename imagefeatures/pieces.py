"""A shard's file that may be larger than memory: Parquet, written and read by pieces, which are its row groups.

Shards are cut by the sizes of their objects. Of URLs these are not known then, so a shard of them may have many times
the bytes that it was meant to have. What fits is one piece, written and read as every other file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import storage
from imagefeatures.errors import AuditFailed
from imagefeatures.shards import StagedFile, read_staged, write_parquet
from imagefeatures.storage.object_reader import ObjectReader

READ_BYTES = 8 * 2**20
"""So many bytes are read at a time of a file that is read by pieces."""


class PieceWriter:
    """Writes one Parquet file by pieces. Without `end`, or after an error, no file is there.

    options: of pyarrow's write_table. Raises what storage.write raises.
    """

    def __init__(self, uri: str, schema: pa.Schema, **options: object) -> None:
        self._uri, self._schema, self._options = uri, schema, options
        self._sink: _Sink | None = None
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._sink:
            self._sink.drop()

    def add(self, piece: pa.Table) -> None:
        """Write a piece that is not the last one. Nothing of it is held afterwards."""
        if self._sink is None:
            self._sink = _Sink(storage.draft(self._uri))
            # A page may end after each value: the encoder holds a mebibyte or one larger value, not the piece again.
            # Pages have checksums for the reader, who reads the file a second time after its SHA-256.
            self._parquet = pq.ParquetWriter(
                self._sink, self._schema, write_batch_size=1, write_page_checksum=True, **self._options
            )
        self._parquet.write_table(piece)
        self._rows += piece.num_rows

    def end(self, piece: pa.Table) -> StagedFile:
        """Write the last piece. Returns the file, which is there then."""
        if self._sink is None:
            return write_parquet(self._uri, piece, **self._options)
        self.add(piece)
        self._parquet.close()
        self._sink.commit()
        sink, self._sink = self._sink, None
        return StagedFile(self._uri, self._rows, sink.size, sink.digest.hexdigest())


class _Sink:
    """The file object that pyarrow writes to. size: in bytes, so far. digest: SHA-256 of them."""

    mode, closed = "wb", False

    def __init__(self, draft: storage.Draft) -> None:
        self._draft, self.size, self.digest = draft, 0, hashlib.sha256()
        self._dropped = False

    def write(self, data: bytes) -> int:
        if not self._dropped:
            self._draft.write(data)
            self.digest.update(data)
            self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered here."""

    def commit(self) -> None:
        self._draft.commit()

    def drop(self) -> None:
        """Nothing is kept, and what comes yet is ignored: pyarrow's writer adds a footer when it is garbage."""
        self._dropped = True
        self._draft.abort()


def read_pieces(file: StagedFile, most_bytes: int, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The pieces of a file, in order; at least one. most_bytes: a file that is not much larger is read as one piece.

    Raises AuditFailed as shards.read_staged, before the first piece.
    """
    names = None if columns is None else list(columns)
    if file.size <= most_bytes + most_bytes // 8 + 2**20:
        yield read_staged(file, names)
        return
    _check_digest(file)
    try:
        # A buffer, or the reader would hold a whole column of a row group beside what it makes of it.
        reader = ObjectReader(file.uri, file.size)
        parquet = pq.ParquetFile(reader, buffer_size=READ_BYTES, page_checksum_verification=True)
        if parquet.metadata.num_rows != file.rows:
            raise AuditFailed(f"{file.uri}: {parquet.metadata.num_rows} rows where the receipt says {file.rows}")
        for group in range(parquet.num_row_groups):
            yield parquet.read_row_group(group, names, use_threads=False)
    except (pa.ArrowException, OSError, storage.ObjectMissing) as error:
        raise AuditFailed(f"{file.uri}: it changed while it was read ({type(error).__name__}: {error})") from None


def _check_digest(file: StagedFile) -> None:
    """Raise AuditFailed where the bytes are not those that were written. Holds READ_BYTES of them at a time."""
    digest, size = hashlib.sha256(), 0
    try:
        there = storage.stat(file.uri).size  # some stores refuse to read behind the end
        while there == file.size and (data := storage.read_part(file.uri, size, min(READ_BYTES, there - size))):
            digest.update(data)
            size += len(data)
    except storage.ObjectMissing:
        raise AuditFailed(f"{file.uri}: it was written, and is gone") from None
    if digest.hexdigest() != file.sha256:
        raise AuditFailed(f"{file.uri}: {there} bytes are not the {file.size} that were written (SHA-256 differs)")
