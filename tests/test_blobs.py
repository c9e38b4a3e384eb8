"""Staged files with a column outside of Parquet, in a folder and in an object store."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import blobs, storage
from imagefeatures.blobs import BlobFile, BlobWriter, read_staged
from imagefeatures.errors import AuditFailed, StoreError
from imagefeatures.shards import StagedFile
from imagefeatures.storage import drafts
from support.shared import BUCKET

MEBIBYTE = 1 << 20
SCHEMA = pa.schema([("n", pa.int64()), pa.field("data", pa.binary(), metadata={"unit": "none"}), ("m", pa.string())])
PIXELS = pa.schema([("n", pa.int64()), pa.field("pixels", pa.binary(6), metadata={"shape": "[1, 2, 3]"})])


@pytest.fixture(params=["file", "s3"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of a file that is not there, once in each kind of store."""
    if request.param == "file":
        return f"file://{tmp_path}/step/file.parquet"
    request.getfixturevalue("s3")
    return f"s3://{BUCKET}/step/file.parquet"


def noise(*sizes: int) -> list[bytes]:
    random = np.random.default_rng(0)
    return [random.bytes(size) for size in sizes]


def others(count: int) -> pa.Table:
    texts = pa.array([f"row {number}" for number in range(count)], pa.string())
    return pa.table({"n": pa.array(range(count), pa.int64()), "m": texts})


def write(uri: str, values: Sequence[bytes | None], most_bytes: int = 64 * MEBIBYTE) -> StagedFile:
    with BlobWriter(uri, SCHEMA, most_bytes) as writer:
        for value in values:
            writer.add(value)
            assert not storage.exists(uri), "it is there at its end, and not before"
        return writer.end(others(len(values)))


VALUES = {
    "none": [],
    "one of no bytes": [b""],
    "one of one byte": [b"x"],
    "some": [b"first", None, b"", b"x" * 3 * MEBIBYTE, None, None, b"last"],
    "nulls alone": [None, None],
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_a_file_is_read_as_it_was_given_and_is_parquet(uri: str, values: list[bytes | None]) -> None:
    file = write(uri, values)
    given = others(len(values)).add_column(1, SCHEMA.field("data"), pa.array(values, pa.binary())).cast(SCHEMA)
    assert read_staged(file).equals(given, check_metadata=True)
    assert read_staged(file, ["m"]).equals(given.select(["m"]))
    assert read_staged(file, ["data", "n"]).equals(given.select(["data", "n"]))
    data = storage.read(uri)
    assert (file.rows, file.size) == (len(values), len(data))
    assert file.blob_bytes == len(blobs.MAGIC) + sum(len(value or b"") for value in values)
    assert file.sha256 == hashlib.sha256(data[file.blob_bytes :]).hexdigest()
    rows = pq.ParquetFile(pa.BufferReader(data)).read().to_pylist()
    assert [row["m"] for row in rows] == given["m"].to_pylist()
    found = [row["value_size"] and data[row["value_begins"] :][: row["value_size"]] for row in rows]
    assert [value or b"" for value in found] == [value or b"" for value in values]


def test_pixels_are_a_view_of_what_was_read(uri: str) -> None:
    values = [b"123456", b"abcdef", None, None]
    with BlobWriter(uri, PIXELS, 100) as writer:
        for value in values:
            writer.add(None if value is None else memoryview(value))
        file = writer.end(others(4).select(["n"]))
    table = read_staged(file)
    assert table.schema.equals(PIXELS, check_metadata=True)
    assert table["pixels"].to_pylist() == values
    assert [len(chunk) for chunk in table["pixels"].chunks] == [2, 2]


@pytest.mark.parametrize("size", [1, blobs.BUFFER - 4, blobs.BUFFER, blobs.BUFFER + 1])
def test_what_others_do_to_a_value_after_it_was_written_changes_nothing(uri: str, size: int) -> None:
    memory = bytearray(noise(size)[0])
    values = [bytes(memory), b"second"]
    with BlobWriter(uri, SCHEMA, size) as writer:
        writer.add(memoryview(memory))
        memory[:] = bytes(size)
        writer.add(values[1])
        file = writer.end(others(2))
    assert storage.read(uri)[: file.blob_bytes] == blobs.MAGIC + b"".join(values)
    assert read_staged(file)["data"].to_pylist() == values


def test_small_values_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, real = [], drafts.LocalDraft.write
    monkeypatch.setattr(drafts.LocalDraft, "write", lambda draft, data: (written.append(len(data)), real(draft, data)))
    third = blobs.BUFFER // 3
    file = write(f"file://{tmp_path}/file.parquet", noise(third, third, third, 5, blobs.BUFFER + 1, 7))
    assert written[:3] == [4 + 2 * third, third + 5, blobs.BUFFER + 1]
    assert len(written) == 4
    assert sum(written) == file.size
    written.clear()
    write(f"file://{tmp_path}/full.parquet", noise(blobs.BUFFER - 4, blobs.BUFFER + 1, blobs.BUFFER + 2, 5))
    assert written[:3] == [blobs.BUFFER, blobs.BUFFER + 1, blobs.BUFFER + 2]  # full to its last byte, and never empty
    assert len(written) == 4


def test_a_file_of_a_version_before_is_proven_by_its_sha256(uri: str) -> None:
    data = (Path(__file__).parent / "lakes" / "values-by-sha256.parquet").read_bytes()
    storage.write(uri, data)
    file = StagedFile(uri, 3, len(data), hashlib.sha256(data[13:]).hexdigest(), blob_bytes=13)
    assert read_staged(file).to_pydict() == {"n": [0, 1, 2], "data": [b"first", None, b"last"]}
    storage.write(uri, data.replace(b"last", b"lost", 1))
    with pytest.raises(AuditFailed, match="digest differs"):
        read_staged(file)


def test_values_far_apart_are_read_alone_and_near_ones_together(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = noise(10, 20, MEBIBYTE + 1, 30, MEBIBYTE, 40)
    file = BlobFile(write(uri, values))
    asked, real = [], storage.read_into

    def read_into(uri: str, start: int, memory: memoryview) -> int:
        asked.append((start, len(memory)))
        return real(uri, start, memory)

    monkeypatch.setattr(storage, "read_into", read_into)
    wanted = [0, 1, 3, 5]
    some = file.blobs(wanted)
    memory = bytearray(some.size)
    some.read_into(memoryview(memory))
    assert [memory[begin:end] for begin, end in some.bounds.tolist()] == [values[number] for number in wanted]
    assert asked == [(4, 30), (4 + 30 + MEBIBYTE + 1, 30 + MEBIBYTE + 40)]
    assert (len(some), some.size) == (4, sum(size for _, size in asked))
    nothing = file.blobs([])
    assert (len(nothing), nothing.size, nothing.bounds.shape) == (0, 0, (0, 2))
    nothing.read_into(memoryview(bytearray()))


def test_pieces_hold_what_fits_and_a_larger_value_alone(uri: str) -> None:
    file = BlobFile(write(uri, noise(40, 40, 30, 120, 10, 90, 20)))
    assert list(file.pieces(range(7), 100)) == [range(2), range(2, 3), range(3, 4), range(4, 6), range(6, 7)]
    assert list(file.pieces(range(3), 39)) == [range(1), range(1, 2), range(2, 3)]  # none is empty
    assert list(file.pieces([0, 2, 4], 109)) == [[0], [2], [4]]  # what lies between them would be read too
    assert list(file.pieces([0, 2, 4], 240)) == [[0, 2, 4]]
    assert list(file.pieces([], 100)) == [[]]


def flipped(uri: str, at: int) -> None:
    data = bytearray(storage.read(uri))
    data[at] ^= 1
    storage.write(uri, bytes(data))


def test_any_flipped_bit_that_is_used_is_noticed(uri: str) -> None:
    values = noise(1000, 2000)
    for at in (4, 500, 1004, 3003, 3004, 3500, -1, -9):
        file = write(uri + str(at), values)
        flipped(file.uri, at)
        with pytest.raises(AuditFailed, match="digest differs"):
            read_staged(file)
    file = write(uri, values)
    flipped(uri, 1500)
    assert read_staged(file, ["m", "n"]).equals(others(2).select(["m", "n"]))  # no value is used
    found = BlobFile(file)
    first, second = found.blobs([0]), found.blobs([1])
    first.read_into(memoryview(bytearray(first.size)))
    with pytest.raises(AuditFailed, match=rf"^{uri}: {file.size} bytes are not the {file.size} that were written"):
        second.read_into(memoryview(bytearray(second.size)))


def test_a_file_that_is_cut_or_gone_or_not_the_receipts_is_refused(uri: str) -> None:
    file = write(uri, noise(1000, 2000))
    with pytest.raises(AuditFailed, match="2 rows where the receipt says 3"):
        read_staged(dataclasses.replace(file, rows=3))
    found = BlobFile(file)
    data = storage.read(uri)
    for size in (file.size - 1, file.blob_bytes, 1500, 0):
        storage.write(uri, data[:size])
        with pytest.raises(AuditFailed, match="digest differs"):
            read_staged(file)
        if size < file.blob_bytes:
            second = found.blobs([1])
            with pytest.raises(AuditFailed, match=rf"{size} bytes are not the {file.size} that were written"):
                second.read_into(memoryview(bytearray(second.size)))
    storage.delete(uri)
    with pytest.raises(AuditFailed, match="it was written, and is gone"):
        read_staged(file)


@pytest.mark.parametrize("added", [0, 1, 2])
def test_after_an_error_nothing_is_there_and_nothing_is_left(uri: str, added: int) -> None:
    with pytest.raises(KeyError), BlobWriter(uri, SCHEMA, MEBIBYTE) as writer:
        for value in noise(*[9 * MEBIBYTE] * added):
            writer.add(value)
        raise KeyError
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
        write(uri, noise(*[9 * MEBIBYTE] * 3), 8 * MEBIBYTE)
    assert left_at(uri) == []


# A file may be an eighth and a mebibyte larger than its values were said to be: here 10 MiB.
@pytest.mark.parametrize(
    ("most_bytes", "sizes", "requests"),
    [
        (9 * MEBIBYTE, [3 * MEBIBYTE] * 3, 1),
        (8 * MEBIBYTE, [5 * MEBIBYTE, 5 * MEBIBYTE - 50_000], 1),
        (8 * MEBIBYTE, [5 * MEBIBYTE, 5 * MEBIBYTE + 50_000], 4),  # begun, two parts, completed
        (0, [3 * MEBIBYTE] * 3, 4),
    ],
)
def test_what_fits_is_one_request_to_a_store_and_what_does_not_is_uploaded_in_parts(
    s3: str, most_bytes: int, sizes: list[int], requests: int
) -> None:
    from imagefeatures.usage import traffic

    before = traffic.so_far()
    with BlobWriter(f"s3://{BUCKET}/file", SCHEMA, most_bytes) as writer:
        for value in (values := noise(*sizes)):
            writer.add(value)
        file = writer.end(others(len(sizes)))
    assert (traffic.so_far() - before).put_requests == requests
    assert read_staged(file)["data"].to_pylist() == values
