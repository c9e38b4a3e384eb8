"""The footer of a Parquet file, read without Arrow: the counts and sizes that it claims.

Arrow aborts the process where it is asked for a column of some damaged footers, instead of raising an error. What is
read here is in Thrift's compact form, as the Parquet format has it.
"""

from __future__ import annotations

import io
from typing import Any, NamedTuple

MARK = b"PAR1"
"""The first and the last bytes of a file."""

ENCRYPTED = b"PARE"
"""The last bytes of a file whose footer is encrypted."""

MOST_DEPTH = 16
"""Deeper structures are in no footer."""

_TRUE, _FALSE, _BYTE, _NUMBERS, _DOUBLE, _TEXT, _LISTS, _MAP, _STRUCT = 1, 2, 3, (4, 5, 6), 7, 8, (9, 10), 11, 12


class Column(NamedTuple):
    """A column of a row group. path: of names, as bytes. values: their number. dictionary: where its page begins.

    size: in bytes, not compressed.
    """

    path: bytes
    values: int
    size: int
    dictionary: int


class Group(NamedTuple):
    """A row group."""

    rows: int
    columns: list[Column]


def fetch_footer(file: io.RawIOBase, size: int) -> bytes:
    """The footer of a file of `size` bytes, with its length and the mark at its end, in two reads.

    Raises ValueError where there is none, and what reading the file raises.
    """
    if size < 12:
        raise ValueError(f"it has {size} bytes")
    file.seek(size - 8)
    end = file.read(8) or b""
    length = int.from_bytes(end[:4], "little")
    if end[4:] == ENCRYPTED:
        raise ValueError("its footer is encrypted")
    if end[4:] != MARK or length > size - 12:
        raise ValueError("it does not end with a footer")
    file.seek(size - 8 - length)
    return (file.read(length) or b"") + end


def read_footer(footer: bytes) -> tuple[int, list[Group]]:
    """(rows, row groups) that a file claims to have. footer: as fetched. Raises ValueError where it is damaged."""
    fields = read_struct(footer[:-8])
    try:
        return fields[3], [Group(group[3], list(map(_column, group[1]))) for group in fields[4]]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("its footer has no row groups") from error


def _column(fields: dict[int, Any]) -> Column:
    facts = fields[3]
    found = Column(b".".join(facts[3]), facts[5], facts[6], facts.get(11, 0))
    if not all(isinstance(number, int) for number in found[1:]):
        raise TypeError
    return found


def read_struct(data: bytes) -> dict[int, Any]:
    """The fields of a structure by their numbers. Raises ValueError where the bytes are none."""
    try:
        return _Compact(data).struct(0)
    except IndexError:
        raise ValueError("it ends in the middle of a field") from None


class _Compact:
    """Reads Thrift's compact form. Raises IndexError at the end of the bytes, ValueError where they make no sense."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self, depth: int) -> dict[int, Any]:
        if depth > MOST_DEPTH:
            raise ValueError("structures are nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._number()
            kind = head & 0x0F
            fields[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _NUMBERS:
            return self._number()
        if kind == _TEXT:
            return self._take(self._varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in _LISTS:
            head = self._byte()
            count = head >> 4 if head >> 4 != 0x0F else self._varint()
            return [self._value(head & 0x0F, depth) for _ in range(self._possible(count))]
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if kind == _DOUBLE:
            return self._take(8)
        if kind == _MAP:
            count = self._possible(self._varint())
            kinds = self._byte() if count else 0
            return [(self._value(kinds >> 4, depth), self._value(kinds & 0x0F, depth)) for _ in range(count)]
        raise ValueError(f"there is no type {kind}")

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _take(self, count: int) -> bytes:
        self._at += self._possible(count)
        return self._data[self._at - count : self._at]

    def _possible(self, count: int) -> int:
        """The count, if there are so many bytes left: each thing takes one at least."""
        if count > len(self._data) - self._at:
            raise ValueError("it claims more than there is")
        return count

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise ValueError("a number does not end")

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
