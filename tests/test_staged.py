"""Files of a step that are read back: as they were written, or an error that names the file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from imagefeatures import staged, storage
from imagefeatures.errors import AuditFailed, StoreError, StoreRefused
from imagefeatures.staged import StagedFile
from support.blob_files import write_blobs

TABLE = pa.table({"number": pa.array(range(1000), pa.int64()), "text": [f"row {row}" for row in range(1000)]})


@pytest.fixture
def file(tmp_path: Path) -> StagedFile:
    return staged.write_parquet(f"file://{tmp_path}/a.parquet", TABLE)


@pytest.fixture
def behind(tmp_path: Path) -> StagedFile:
    """The same columns behind a thousand values of 77 bytes."""
    values = pa.array([bytes([row % 251]) * 77 for row in range(1000)], pa.binary(77))
    return write_blobs(f"file://{tmp_path}/b.parquet", TABLE.append_column("pixels", values), "pixels")


def path_of(file: StagedFile) -> Path:
    return Path(file.uri.removeprefix("file://"))


def says(file: StagedFile) -> str:
    with pytest.raises(AuditFailed) as failed:
        staged.read_columns(file)
    return str(failed.value)


def test_what_is_written_says_its_size_and_digest(file: StagedFile) -> None:
    data = path_of(file).read_bytes()
    assert file == StagedFile(file.uri, 1000, len(data), hashlib.sha256(data).hexdigest())
    assert file.blob_bytes == 0


@pytest.mark.parametrize("which", ["file", "behind"])
def test_all_columns_are_read_or_those_that_are_named(which: str, request: pytest.FixtureRequest) -> None:
    file = request.getfixturevalue(which)
    assert staged.read_columns(file).select(TABLE.column_names).cast(TABLE.schema).equals(TABLE)
    assert staged.read_columns(file, ["text"]).column_names == ["text"]


@pytest.mark.parametrize("which", ["file", "behind"])
def test_one_that_has_changed_is_named(which: str, request: pytest.FixtureRequest) -> None:
    file = request.getfixturevalue(which)
    assert says(replace(file, rows=999)) == f"{file.uri}: 1000 rows where the receipt says 999"
    differs = f"bytes are not the {file.size} that were written (digest differs)"
    assert says(replace(file, sha256="0" * 64)) == f"{file.uri}: {file.size} {differs}"
    data = path_of(file).read_bytes()
    path_of(file).write_bytes(data[:-1])
    assert says(file) == f"{file.uri}: {file.size - 1} {differs}"
    path_of(file).unlink()
    assert says(file) == f"{file.uri}: it was written, and is gone"


@pytest.mark.parametrize("error", [StoreError, StoreRefused])
def test_a_store_that_refuses_to_read_behind_the_end_says_that_the_file_is_short(
    behind: StagedFile, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def refuse(uri: str, start: int, memory: memoryview) -> int:
        raise error("416")

    monkeypatch.setattr(storage, "read_into", refuse)
    with pytest.raises(error, match=r"^416$"):  # it is as long as it was
        staged.read_columns(behind)
    path_of(behind).write_bytes(b"short")
    assert "5 bytes are not the" in says(behind)


def test_the_end_of_a_file_is_read_as_if_it_were_the_whole() -> None:
    end = staged._Behind(bytearray(b"abcdef"), 4)

    def read(at: int, *size: int) -> bytes:
        end.seek(at)
        return bytes(end.read(*size))

    assert read(0) == read(0, -1) == read(0, 99) == b"\0\0\0\0abcdef"
    assert (read(0, 0), read(1, 2), read(2, 4), read(3, 1)) == (b"", b"\0\0", b"\0\0ab", b"\0")
    assert (read(4, 3), read(5, 2), read(9, 5), read(10, 5)) == (b"abc", b"bc", b"f", b"")
    end.seek(3)
    assert [bytes(end.read(2)) for _ in range(4)] == [b"\0a", b"bc", b"de", b"f"]


@pytest.mark.parametrize("rows", [0, 1, 100_000])
def test_there_is_room_for_values_that_memory_holds_once_and_the_file_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(staged, "_per_thread", staged.threading.local())  # as in a thread that has written nothing yet
    texts = pa.array(["x" * 40] * rows, pa.string()).dictionary_encode()
    table = pa.table({f"column {number}": texts for number in range(3)})
    options = {"compression": "none", "use_dictionary": False}
    file = staged.write_parquet(f"file://{tmp_path}/c.parquet", table, **options)
    assert staged.read_columns(file).cast(table.schema).equals(table)
