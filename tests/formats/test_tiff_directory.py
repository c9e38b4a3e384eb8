"""The directory of a TIFF or of EXIF: where values stand, of every type, in both byte orders, and where it is cut."""

from __future__ import annotations

import struct

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff
from imagefeatures.formats.limits import Metadata
from imagefeatures.formats.tiff_directory import entries, integers, is_whole_numbers, order_of, rationals
from imagefeatures.limits import Limits

BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Of a value, by its type: those of TIFF 6.0, the pointer of its supplement, and the long numbers of BigTIFF."""

Entry = tuple[int, int, int, int]
"""Tag, type, number of values, and what stands in place of the values."""


def made(order: str, found: list[Entry], big: bool = False, start: int = 0, following: int = 0) -> bytes:
    """A file of one directory at `start`, by default behind the header."""
    head, number, entry, word = (16, "Q", "HHQQ", "Q") if big else (8, "H", "HHII", "I")
    start = start or head
    data = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42)
    data += struct.pack(order + "HHQ", 8, 0, start) if big else struct.pack(order + "I", start)
    data = data.ljust(start, b"\xee") + struct.pack(order + number, len(found))
    return data + b"".join(struct.pack(order + entry, *each) for each in found) + struct.pack(order + word, following)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
@pytest.mark.parametrize("kind", [*BYTES, 0, 14, 15, 17])
def test_values_stand_in_their_entry_if_they_fit_and_else_where_it_says(kind: int, big: bool, order: str) -> None:
    """A type that nobody knows has values of no size."""
    word, head, place = (8, 24, 12) if big else (4, 10, 8)
    step, size = (20 if big else 12), BYTES.get(kind, 0)
    fitting = word // size if size else 1000
    data = made(order, [(7, kind, fitting, 99), (8, kind, fitting + 1, 99), (9, kind, 0, 99)], big)
    outside = 99 if size else head + step + place
    assert list(entries(data)) == [
        (7, kind, fitting, head + place),
        (8, kind, fitting + 1, outside),
        (9, kind, 0, head + 2 * step + place),
    ]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
def test_a_directory_is_whole_with_the_position_of_the_next_one(big: bool, order: str) -> None:
    data = made(order, [(256, 4, 1, 7), (257, 4, 1, 9)], big, start=50, following=1)
    found = [entry[:3] for entry in entries(data)]
    assert found == [(256, 4, 1), (257, 4, 1)]
    assert [entry[:3] for entry in entries(data, 50)] == found
    for length in range(4, len(data)):
        with pytest.raises(struct.error):
            list(entries(data[:length]))
    assert list(entries(made(order, [], big))) == []


def test_a_second_directory_is_read_from_its_position() -> None:
    data = made("<", [(256, 4, 1, 7)])
    other = made("<", [(254, 3, 1, 1)], start=len(data))[len(data) :]
    assert list(entries(data + other, len(data))) == [(254, 3, 1, len(data) + 10)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_are_read_in_the_order_of_the_file(order: str) -> None:
    data = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HHIIIII", 1, 60_000, 70_000, 1, 3, 5, 0)
    assert order_of(data) == order
    assert integers(data, 3, 2, 2).tolist() == [1, 60_000]
    assert integers(data, 4, 2, 6).tolist() == integers(data, 13, 2, 6).tolist() == [70_000, 1]
    assert rationals(data, 2, 10) == [1 / 3, 0.0]  # 1/3, and 5/0
    assert rationals(data, 1, 14) == [3 / 5]
    with pytest.raises(ValueError, match="buffer"):
        integers(data, 4, 6, 6)
    with pytest.raises(ValueError, match="buffer"):
        rationals(data, 3, 10)
    assert [kind for kind in range(20) if is_whole_numbers(kind)] == [3, 4, 13]


# EXIF, counted by its tags


def counted(block: bytes) -> int:
    """The bytes of metadata that a block of EXIF counts for."""
    for most in range(1, 2000):
        try:
            tiff.check_exif(block, Metadata("JPEG", Limits(max_metadata_bytes=most)))
        except Rejected as why:
            assert why.reason == "METADATA_TOO_LARGE"
            assert why.detail.startswith("JPEG with ")
            continue
        return most
    raise AssertionError("it counts for more")


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
@pytest.mark.parametrize("kind", [*BYTES, 14])
def test_exif_counts_by_what_its_tags_claim_but_each_for_no_more_than_the_block(kind: int, big: bool) -> None:
    block = made(">", [(1, kind, 3, 0), (2, kind, 4, 0)], big)
    size = BYTES.get(kind, 0)
    assert counted(block) == max(1, 7 * size)
    assert counted(b"Exif\0\0" * 3 + block) == counted(block)
    endless = made(">", [(1, kind, 2**31, 0), (2, kind, 2**31, 0)], big)
    assert counted(endless) == (2 * len(endless) if size else 1)


def test_exif_that_is_cut_counts_up_to_there() -> None:
    block = made("<", [(1, 7, 20, 0), (2, 7, 30, 0)])
    assert counted(block) == 50
    assert counted(block[:-1]) == 50
    assert counted(block[:-5]) == 20
    assert counted(block[:9]) == counted(b"") == counted(b"Exif\0\0") == counted(b"no EXIF at all") == 1
