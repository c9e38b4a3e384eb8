"""Files that are written and read by pieces, and drafts of objects, in a folder and in an object store."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import storage
from imagefeatures.errors import AuditFailed, StoreError, StoreRefused
from imagefeatures.pieces import PieceWriter, read_pieces
from imagefeatures.shards import StagedFile, read_staged
from imagefeatures.storage import drafts
from support.shared import BUCKET

MEBIBYTE = 1 << 20


@pytest.fixture(params=["file", "s3"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of a file that is not there, once in each kind of store."""
    if request.param == "file":
        return f"file://{tmp_path}/step/file.parquet"
    request.getfixturevalue("s3")
    return f"s3://{BUCKET}/step/file.parquet"


def pieces(*mebibytes: int) -> Iterator[pa.Table]:
    """Tables of so many values of one mebibyte, with their numbers."""
    random, first = np.random.default_rng(0), 0
    for count in mebibytes:
        yield pa.table({"n": range(first, first + count), "data": [random.bytes(MEBIBYTE) for _ in range(count)]})
        first += count


def write(uri: str, *mebibytes: int) -> StagedFile:
    *first, last = pieces(*mebibytes)
    with PieceWriter(uri, last.schema, compression="none", use_dictionary=False) as writer:
        for piece in first:
            writer.add(piece)
            assert not storage.exists(uri), "it is there at its end, and not before"
        return writer.end(last)


@pytest.mark.parametrize("sizes", [(3, 2, 1), (9, 2), (4,)])
def test_what_is_written_by_pieces_is_one_file_and_is_read_by_the_same_pieces(uri: str, sizes: tuple[int, ...]) -> None:
    file = write(uri, *sizes)
    data = storage.read(uri)
    assert (file.rows, file.size, file.sha256) == (sum(sizes), len(data), hashlib.sha256(data).hexdigest())
    found = list(read_pieces(file, MEBIBYTE))
    if file.size > 2 * MEBIBYTE + MEBIBYTE // 8:
        assert [piece.num_rows for piece in found] == list(sizes)
        assert all(piece.equals(wanted) for piece, wanted in zip(found, pieces(*sizes), strict=True))
    (whole,) = read_pieces(file, 100 * MEBIBYTE)
    assert whole.equals(read_staged(file))
    assert whole.equals(pa.concat_tables(pieces(*sizes)))
    assert [piece.to_pydict() for piece in read_pieces(file, 100 * MEBIBYTE, ["n"])] == [{"n": [*range(sum(sizes))]}]
    assert [n for piece in read_pieces(file, MEBIBYTE, ["n"]) for n in piece["n"].to_pylist()] == [*range(sum(sizes))]


def test_of_a_file_by_pieces_no_page_holds_more_than_one_large_value(uri: str) -> None:
    """Pages are what the encoder holds."""
    file = write(uri, 4, 4)
    group = pq.ParquetFile(pa.BufferReader(storage.read(file.uri))).metadata.row_group(0)
    assert group.num_rows == 4
    data = storage.read(file.uri)
    starts = [data.index(piece["data"][at].as_py()) for piece in pieces(4) for at in range(4)]
    gaps = [after - before - MEBIBYTE for before, after in pairwise(starts)]
    assert all(gap > 20 for gap in gaps), "a page header stands between two values"


@pytest.mark.parametrize("added", [0, 1, 2])
def test_after_an_error_nothing_is_there_and_nothing_is_left(uri: str, added: int) -> None:
    written = list(pieces(9, 9, 9))[:added]
    with pytest.raises(KeyError), PieceWriter(uri, next(pieces(1)).schema, compression="none") as writer:
        for piece in written:
            writer.add(piece)
        raise KeyError
    del writer  # pyarrow's writer ends its file when it is collected
    assert left_at(uri) == []


def left_at(uri: str) -> list[str]:
    """What is below the folder of a file, hidden files and unfinished uploads included."""
    if uri.startswith("file://"):
        return [str(path) for path in Path(uri.removeprefix("file://")).parent.rglob("*")]
    client = storage._store("s3")._client
    uploads = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return [*storage.names(uri.rpartition("/")[0]), *(upload["Key"] for upload in uploads)]


def test_a_store_that_takes_no_more_ends_the_file(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = drafts.LocalDraft if uri.startswith("file://") else drafts.S3Draft
    real, calls = kind.write, []

    def write_some(self: drafts.LocalDraft | drafts.S3Draft, data: bytes) -> None:
        calls.append(len(data))
        if sum(calls) > 12 * MEBIBYTE:
            raise StoreError("no answer in 60 s")
        real(self, data)

    monkeypatch.setattr(kind, "write", write_some)
    with pytest.raises(StoreError, match=r"^no answer in 60 s$"):
        write(uri, 9, 9, 9)
    assert left_at(uri) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreRefused, match=rf"^file://{tmp_path}/file/b: Not a directory"):
        storage.draft(f"file://{tmp_path}/file/b")


def test_a_file_that_is_damaged_or_gone_or_not_the_receipts_is_refused_before_its_first_piece(uri: str) -> None:
    file = write(uri, 3, 3)
    data = bytearray(storage.read(uri))
    with pytest.raises(AuditFailed, match="6 rows where the receipt says 7"):
        next(read_pieces(dataclasses.replace(file, rows=7), MEBIBYTE))
    data[5 * MEBIBYTE] ^= 1
    storage.write(uri, bytes(data))
    with pytest.raises(AuditFailed, match="SHA-256 differs"):
        next(read_pieces(file, MEBIBYTE))
    storage.write(uri, bytes(data[: 4 * MEBIBYTE]))
    with pytest.raises(AuditFailed, match="SHA-256 differs"):
        next(read_pieces(file, MEBIBYTE))
    storage.delete_folder(uri.rpartition("/")[0])
    with pytest.raises(AuditFailed, match="it was written, and is gone"):
        next(read_pieces(file, MEBIBYTE))


def test_a_file_that_changes_between_two_pieces_is_refused(uri: str) -> None:
    file = write(uri, 9, 9)
    data = bytearray(storage.read(uri))
    reading = read_pieces(file, MEBIBYTE)
    assert next(reading).num_rows == 9
    data[17 * MEBIBYTE] ^= 1
    storage.write(uri, bytes(data))
    with pytest.raises(AuditFailed, match="it changed while it was read"):
        next(reading)


@pytest.mark.parametrize("store", ["minio"], indirect=True)  # moto answers with an error of its own code
def test_an_upload_that_is_gone_at_its_end_is_an_error(store: str) -> None:
    draft = storage.draft(f"{store}/x")
    draft.write(bytes(drafts.PART_BYTES))
    client, place = (
        storage._store("s3")._client,
        {"Bucket": BUCKET, "Key": f"{store}/x".removeprefix(f"s3://{BUCKET}/")},
    )
    for upload in client.list_multipart_uploads(Bucket=BUCKET, Prefix=place["Key"])["Uploads"]:
        client.abort_multipart_upload(**place, UploadId=upload["UploadId"])
    with pytest.raises(StoreError, match=rf"^{store}/x: its upload in parts was gone at the end$"):
        draft.commit()
    draft.abort()  # which nobody has to know of
    assert not storage.exists(f"{store}/x")
