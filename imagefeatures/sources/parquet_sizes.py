"""What the footer of a Parquet file claims: whether its counts can be true, and how large a column's values are."""

from __future__ import annotations

import io
from typing import Any

MOST_ROWS = 1 << 20
"""A file may have so many rows, or one for each of its bytes: rows without a value take hardly any."""

LONGEST_HEADER = 64
"""So many bytes at the start of a dictionary page are read: its header has its size and the number of its values."""


def false_counts(metadata: Any, size: int) -> str | None:
    """Why the counts of rows in a footer cannot be true; None where they can. size: of the file, in bytes."""
    if metadata.num_rows > max(MOST_ROWS, size):
        return f"its footer claims {metadata.num_rows:,} rows in {size:,} bytes"
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    if any(group.num_rows < 0 for group in groups) or sum(group.num_rows for group in groups) != metadata.num_rows:
        return "the counts of rows in its footer contradict each other"
    for number, group in enumerate(groups):
        for at in range(group.num_columns):  # a column's list has any number of values in a row
            count = group.column(at).num_values
            if metadata.schema.column(at).max_repetition_level == 0 and count != group.num_rows:
                return f"row group {number} claims {group.num_rows:,} rows, and a column of it {count:,} values"
    return None


def mean_size(file: io.RawIOBase, group: Any, leaf: str) -> int:
    """The bytes of a value of a column, on average over a row group. leaf: the column's path.

    Values that repeat stand in a dictionary once: the average of those that are there is taken then.
    """
    columns = [column for column in map(group.column, range(group.num_columns)) if column.path_in_schema == leaf]
    average: int = sum(column.total_uncompressed_size for column in columns) // max(group.num_rows, 1)
    for column in columns:
        if column.has_dictionary_page and column.dictionary_page_offset:
            file.seek(column.dictionary_page_offset)
            size, count = _dictionary(file.read(LONGEST_HEADER) or b"")
            if 0 < count < group.num_rows:
                average = max(average, size // count)
    return average


def _dictionary(header: bytes) -> tuple[int, int]:
    """(uncompressed bytes, values) of a dictionary page, from the start of its header; zeros where it is none.

    The header is Thrift's compact form: fields 1 to 4 are whole numbers (type, both sizes, checksum), field 7 holds
    the dictionary's own fields, of which the first is the number of values.
    """
    at, field, fields = 0, 0, dict[int, int]()

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = header[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)

    try:
        while header[at]:
            field += header[at] >> 4
            kind = header[at] & 0x0F
            at += 1
            if kind == 0x0C and field == 7:
                at += 1  # the head of its first field
                return fields.get(2, 0), varint()
            if kind != 0x05:
                break
            fields[field] = varint()
    except IndexError:
        pass
    return 0, 0
