"""The boxes of HEIC, AVIF and JP2 files, and the numbers in them."""

from __future__ import annotations

import pytest

from imagefeatures.formats.isobmff import Box, Reader, boxes


def box(kind: bytes, content: bytes = b"", size: int | None = None) -> bytes:
    return (8 + len(content) if size is None else size).to_bytes(4) + kind + content


def long_box(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    """Its size stands behind its kind, in eight bytes."""
    return (1).to_bytes(4) + kind + (16 + len(content) if size is None else size).to_bytes(8) + content


def found(data: bytes, start: int = 0, end: int | None = None) -> list[Box]:
    return list(boxes(data, start, len(data) if end is None else end))


def test_boxes_follow_each_other_up_to_the_end() -> None:
    data = b"xyz" + box(b"ftyp", b"1234") + long_box(b"mdat", b"12345") + box(b"free")
    assert found(data, 3) == [
        Box(b"ftyp", 3, 11, 15),
        Box(b"mdat", 15, 31, 36),
        Box(b"free", 36, 44, 44),
    ]
    assert found(data, 3, 43) == found(data, 3)[:2]
    assert found(data, 3, 15) == found(data, 3)[:1]
    assert found(data, 3, 10) == []


def test_a_box_of_no_size_ends_with_the_file() -> None:
    data = box(b"ftyp") + box(b"mdat", b"12345", size=0)
    assert found(data) == [Box(b"ftyp", 0, 8, 8), Box(b"mdat", 8, 16, len(data))]
    assert found(box(b"mdat", size=0)) == [Box(b"mdat", 0, 8, 8)]


def test_a_box_may_end_behind_the_data() -> None:
    assert found(box(b"mdat", b"123", size=1000)) == [Box(b"mdat", 0, 8, 1000)]
    for size in (2**40, 2**63):
        assert found(long_box(b"mdat", b"123", size=size)) == [Box(b"mdat", 0, 16, size)]


@pytest.mark.parametrize("size", range(2, 8))
def test_a_box_that_is_shorter_than_its_header_is_none(size: int) -> None:
    assert found(box(b"ftyp") + box(b"free", b"12345678", size=size)) == [Box(b"ftyp", 0, 8, 8)]


def test_a_long_size_must_be_there_and_hold_its_header() -> None:
    data = long_box(b"mdat", b"")
    assert found(data) == [Box(b"mdat", 0, 16, 16)]
    assert found(data[:15]) == []
    assert found(long_box(b"mdat", b"", size=15)) == []
    assert found(long_box(b"mdat", b"12", size=0)) == [Box(b"mdat", 0, 16, 18)]


def test_numbers_are_read_one_behind_the_other_and_never_beyond_the_end() -> None:
    data = bytes(range(1, 11))
    reader = Reader(data, 1, 8)
    assert (reader.number(1), reader.number(2), reader.number(0), reader.take(3)) == (2, 0x0304, 0, b"\5\6\7")
    assert (reader.position, reader.end) == (7, 8)
    with pytest.raises(ValueError, match="it ends after 8 bytes, 9 are needed"):
        reader.number(2)
    assert reader.number(1) == 8
    assert Reader(data, 0, 99).end == 10
