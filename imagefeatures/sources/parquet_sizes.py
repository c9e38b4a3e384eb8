"""What the footer of a Parquet file claims: whether its counts can be true, and how large a column's values are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from imagefeatures.sources.parquet_footer import Group, read_struct

MOST_ROWS = 1 << 20
"""A file may have so many rows, or one for each of its bytes: rows without a value take hardly any."""

LONGEST_HEADER = 64
"""So many bytes at the start of a dictionary page are read: its header has its size and the number of its values."""


def false_counts(claimed: tuple[int, Sequence[Group]], schema: Any, size: int) -> str | None:
    """Why the counts of rows in a footer cannot be true; None where they can.

    claimed: as `read_footer`. schema: pyarrow's, of the same file. size: of the file, in bytes.
    """
    rows, groups = claimed
    if rows > max(MOST_ROWS, size):
        return f"its footer claims {rows:,} rows in {size:,} bytes"
    if any(group.rows < 0 for group in groups) or sum(group.rows for group in groups) != rows:
        return "the counts of rows in its footer contradict each other"
    for number, group in enumerate(groups):
        if len(group.columns) != len(schema):
            return f"row group {number} has {len(group.columns)} columns, and the file {len(schema)}"
        for at, column in enumerate(group.columns):  # a column's list has any number of values in a row
            if schema.column(at).max_repetition_level == 0 and column.values != group.rows:
                return f"row group {number} claims {group.rows:,} rows, and a column of it {column.values:,} values"
    return None


def mean_size(file: io.RawIOBase, group: Group, leaf: str) -> int:
    """The bytes of a value of a column, on average over a row group. leaf: the column's path.

    Values that repeat stand in a dictionary once: the average of those that are there is taken then.
    """
    columns = [column for column in group.columns if column.path == leaf.encode()]
    average = sum(column.size for column in columns) // max(group.rows, 1)
    for column in columns:
        if column.dictionary > 0:
            file.seek(column.dictionary)
            size, count = _dictionary(file.read(LONGEST_HEADER) or b"")
            if 0 < count < group.rows:
                average = max(average, size // count)
    return max(average, 0)


def _dictionary(header: bytes) -> tuple[int, int]:
    """(uncompressed bytes, values) of a dictionary page, from the start of its header; zeros where it is none."""
    try:
        page = read_struct(header)
        size, count = page[2], page[7][1]
    except (ValueError, LookupError, TypeError):
        return 0, 0
    return (size, count) if isinstance(size, int) and isinstance(count, int) else (0, 0)
