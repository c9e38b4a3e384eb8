"""An object as a file: where it stands after each call, and what it asks of the store."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.storage import Access
from imagefeatures.storage.object_reader import ObjectReader


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(start, length) of each part that is read of a store's object of ten bytes."""
    seen: list[tuple[int, int]] = []

    def read_part(uri: str, start: int, length: int, access: Access | None) -> bytes:
        assert (uri, access) == ("s3://b/ten", None)
        seen.append((start, length))
        return b"0123456789"[start : start + length]

    monkeypatch.setattr(storage, "read_part", read_part)
    return seen


def test_each_read_goes_on_where_the_last_one_ended_and_asks_for_no_more_than_there_is(
    asked: list[tuple[int, int]],
) -> None:
    file = ObjectReader("s3://b/ten", 10)
    assert (file.tell(), file.read(4), file.tell()) == (0, b"0123", 4)
    assert (file.read(), file.tell(), file.read(3)) == (b"456789", 10, b"")
    assert (file.seek(8), file.read(5)) == (8, b"89")
    assert asked == [(0, 4), (4, 6), (10, 0), (8, 2)]


def test_a_place_is_told_from_the_start_from_here_or_from_the_end(asked: list[tuple[int, int]]) -> None:
    file = ObjectReader("s3://b/ten", 10)
    assert file.seek(2, io.SEEK_SET) == 2
    assert file.seek(3, io.SEEK_CUR) == 5
    assert (file.seek(-1, io.SEEK_END), file.tell(), file.read(0), file.read(-1)) == (9, 9, b"", b"9")
    assert (file.seek(20), file.read()) == (20, b"")
    assert asked == [(9, 0), (9, 1), (20, 0)]


def test_it_can_be_read_and_searched_and_not_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    with ObjectReader(f"file://{tmp_path}/file", 5) as file:
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        assert file.read() == b"bytes"
    assert file.closed
