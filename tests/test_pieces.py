"""Files that are written and read by pieces, and drafts of objects, in a folder and in an object store."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import storage
from imagefeatures.errors import AuditFailed, StoreError, StoreRefused
from imagefeatures.pieces import read_frozen, read_pieces
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
    """As versions before wrote a shard by pieces: each is a row group."""
    with io.BytesIO() as sink:
        options = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
        with pq.ParquetWriter(sink, next(pieces(1)).schema, **options) as writer:
            for piece in pieces(*mebibytes):
                writer.write_table(piece)
        data = sink.getvalue()
    storage.write(uri, data)
    return receipt(uri, sum(mebibytes), data)


def receipt(uri: str, rows: int, data: bytes) -> StagedFile:
    return StagedFile(uri, rows, len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("sizes", [(3, 2, 1), (9, 2), (4,)])
def test_what_was_written_by_pieces_is_read_by_the_same_pieces(uri: str, sizes: tuple[int, ...]) -> None:
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


def test_a_file_is_read_as_one_piece_up_to_an_eighth_and_a_mebibyte_more_than_a_piece(tmp_path: Path) -> None:
    file = write(f"file://{tmp_path}/file.parquet", 2, 1)
    most = next(most for most in range(file.size) if most + most // 8 + MEBIBYTE >= file.size)
    assert most + most // 8 + MEBIBYTE == file.size
    assert [piece.num_rows for piece in read_pieces(file, most)] == [3]
    assert [piece.num_rows for piece in read_pieces(file, most - 1)] == [2, 1]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, [("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4")]),
        (["a", "c", "nowhere"], [("a", b"1"), ("c", b"4")]),
        ([], []),
    ],
)
def test_images_that_a_version_before_froze_are_read_with_their_bytes_and_a_wanted_one_once(
    tmp_path: Path, wanted: list[str] | None, found: list[tuple[str, bytes]]
) -> None:
    with io.BytesIO() as sink:
        pq.write_table(pa.table({"uri": ["a", "b", "a", "c"], "data": [b"1", b"2", b"3", b"4"]}), sink)
        data = sink.getvalue()
    storage.write(f"file://{tmp_path}/file.parquet", data)
    ((rows, sources),) = read_frozen(receipt(f"file://{tmp_path}/file.parquet", 4, data), MEBIBYTE, wanted)
    assert rows == [{"uri": uri} for uri, _ in found]
    assert list(sources) == [data for _, data in found]


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
    with pytest.raises(AuditFailed, match="digest differs"):
        next(read_pieces(file, MEBIBYTE))
    storage.write(uri, bytes(data[: 4 * MEBIBYTE]))
    with pytest.raises(AuditFailed, match="digest differs"):
        next(read_pieces(file, MEBIBYTE))
    storage.delete_folder(uri.rpartition("/")[0])
    with pytest.raises(AuditFailed, match="it was written, and is gone"):
        next(read_pieces(file, MEBIBYTE))
    junk = bytes(3 * MEBIBYTE)
    storage.write(uri, junk)
    with pytest.raises(AuditFailed, match=r"ArrowInvalid: .* not a parquet file"):
        next(read_pieces(receipt(uri, 6, junk), MEBIBYTE))


@pytest.mark.parametrize("change", ["damaged", "gone"])
def test_a_file_that_changes_between_two_pieces_is_refused(uri: str, change: str) -> None:
    file = write(uri, 9, 9)
    data = bytearray(storage.read(uri))
    reading = read_pieces(file, MEBIBYTE)
    assert next(reading).num_rows == 9
    if change == "gone":
        storage.delete_folder(uri.rpartition("/")[0])
    else:
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
