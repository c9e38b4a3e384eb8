"""What ingest froze of a shard, by pieces that fit into memory.

Shards are cut by the sizes of their objects. Of URLs these are not known then, so a shard of them may have many times
the bytes that it was meant to have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import storage
from imagefeatures.batches import Sources
from imagefeatures.blobs import BlobFile, read_staged
from imagefeatures.errors import AuditFailed
from imagefeatures.staged import StagedFile
from imagefeatures.storage.object_reader import ObjectReader

READ_BYTES = 8 * 2**20
"""So many bytes are read at a time of a file that is read by pieces."""

Piece = tuple[list[dict[str, Any]], Sources | list[bytes]]
"""Rows of schemas.RAW without their bytes, and the bytes of each: those of `Isolated.run`."""


def read_frozen(file: StagedFile, most_bytes: int, uris: Iterable[str] | None = None) -> Iterator[Piece]:
    """The images that ingest froze, in order, by pieces; at least one. most_bytes: of a piece of more than one image.

    uris: of the wanted images, of which each comes once; None: all. Raises AuditFailed as shards.read_staged, before
    the first piece; for bytes that are not what was written, once they are read.
    """
    left = None if uris is None else set(uris)
    if not file.blob_bytes:  # by a version before
        for piece in read_pieces(file, most_bytes):
            rows = [row for row in piece.to_pylist() if _taken(row["uri"], left)]
            yield rows, [row.pop("data") for row in rows]
        return
    found = BlobFile(file)
    rows = found.rows.to_pylist()
    wanted = [number for number, row in enumerate(rows) if _taken(row["uri"], left)]
    for numbers in found.pieces(wanted, most_bytes):
        yield [rows[number] for number in numbers], found.blobs(numbers)


def _taken(uri: str, left: set[str] | None) -> bool:
    """Whether an image is wanted, and was not taken before. left: those that are still wanted."""
    if left is None:
        return True
    if uri not in left:
        return False
    left.remove(uri)
    return True


def read_pieces(file: StagedFile, most_bytes: int, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The pieces of a file, in order; at least one. most_bytes: a file that is not much larger is read as one piece.

    Such a file of a version before may have been written by pieces, which are its row groups. Raises AuditFailed as
    shards.read_staged, before the first piece.
    """
    names = None if columns is None else list(columns)
    if file.blob_bytes or file.size <= most_bytes + most_bytes // 8 + 2**20:
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
        raise file.differs(there)
