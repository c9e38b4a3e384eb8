"""The fields of protobuf messages, at the bounds of their numbers, kinds and lengths."""

from __future__ import annotations

import pytest

from imagefeatures.models.own.protobuf import Malformed, fields, messages, text, varint


def read(data: bytes) -> list[tuple[int, int | bytes]]:
    return [(number, value if isinstance(value, int) else bytes(value)) for number, value in fields(memoryview(data))]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x00", 0),
        (b"\x7f", 127),
        (b"\x80\x01", 128),
        (b"\xff\x7f", 16383),
        (b"\xff" * 9 + b"\x01", 2**64 - 1),
        (b"\x80" * 9 + b"\x00", 0),
    ],
)
def test_a_number_is_read_with_where_it_ends(data: bytes, value: int) -> None:
    assert varint(memoryview(data + b"\x05"), 0) == (value, len(data))
    assert varint(memoryview(b"\x05" + data), 1) == (value, len(data) + 1)


def test_a_number_that_does_not_end_is_malformed() -> None:
    for data in (b"", b"\x80", b"\x80" * 9):
        with pytest.raises(Malformed, match=r"^it ends in the middle of a number$"):
            varint(memoryview(data), 0)
    with pytest.raises(Malformed, match=r"^a number of more than 64 bits$"):
        varint(memoryview(b"\x80" * 10 + b"\x01"), 0)


def test_each_kind_of_field_has_its_length() -> None:
    fixed = b"\x09" + b"12345678" + b"\x15" + b"abcd"
    assert read(fixed + b"\x1a\x00" + b"\x20\x07" + b"\x1a\x02hi") == [
        (1, b"12345678"), (2, b"abcd"), (3, b""), (4, 7), (3, b"hi"),
    ]  # fmt: skip
    assert read(b"") == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x00\x01", "a field of number 0"),
        (b"\x80\x80\x80\x80\x10\x00", "a field of number 536870912"),
        (b"\x0b", "a field of kind 3"),
        (b"\x0c", "a field of kind 4"),
        (b"\x0e", "a field of kind 6"),
        (b"\x0f", "a field of kind 7"),
        (b"\x09" + b"1234567", "it ends in the middle of a field"),
        (b"\x15" + b"abc", "it ends in the middle of a field"),
        (b"\x1a\x03hi", "it ends in the middle of a field"),
        (b"\x08", "it ends in the middle of a number"),
        (b"\x1a", "it ends in the middle of a number"),
    ],
)
def test_what_is_no_field_is_malformed(data: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=f"^{said}$"):
        read(data)


def test_the_largest_number_of_a_field_is_read() -> None:
    assert read(b"\xf8\xff\xff\xff\x0f\x07") == [(2**29 - 1, 7)]


def test_a_path_leads_to_the_messages_inside_and_passes_over_numbers() -> None:
    inner = b"\x12\x01a" + b"\x10\x07" + b"\x12\x01b" + b"\x1a\x01c"
    outer = memoryview(b"\x0a" + bytes([len(inner)]) + inner + b"\x08\x05" + b"\x0a\x03\x12\x01d" + b"\x12\x01e")
    assert [text(found) for found in messages(outer, 1, 2)] == ["a", "b", "d"]
    assert [text(found) for found in messages(outer, 2)] == ["e"]
    assert [bytes(found) for found in messages(outer)] == [bytes(outer)]
    assert text(memoryview(b"\xff")) == "\ufffd"
