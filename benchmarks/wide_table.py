"""A table of 1,200 columns, of which three have the URLs of images and one has a key. Written a row group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = 1200
GROUP_ROWS = 20_000
KINDS = ("image", "tiny", "photo")
"""The columns with URLs: what the loopback hosts have behind each."""

KEY = "id"
POOL = 97
"""So many arrays of each type are made, and each column of each row group is one of them."""


def write(path: Path, origins: Sequence[str], rows: int) -> int:
    """Write the table, with the hosts in turn. Returns the bytes of the file.

    The other columns are texts, whole numbers and fractions, a third each, with few different values: 1 byte a value.
    """
    random = np.random.default_rng(0)
    group = min(rows, GROUP_ROWS)
    words = np.array([f"word {number}" for number in range(16)])
    pools = (
        [pa.array(words[random.integers(0, 16, group)]) for _ in range(POOL)],
        [pa.array(random.integers(0, 1000, group)) for _ in range(POOL)],
        [pa.array(random.integers(0, 1000, group) / 100) for _ in range(POOL)],
    )
    others = [f"column {number:04d}" for number in range(COLUMNS - len(KINDS) - 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    writer: pq.ParquetWriter | None = None
    for first in range(0, rows, group):
        numbers = range(first, min(first + group, rows))
        columns = {KEY: pa.array(numbers, pa.int64())}
        for at, name in enumerate(others):
            pool = pools[at % len(pools)]
            columns[name] = pool[(at + first // group) % POOL][: len(numbers)]
            if at % 400 == 200 and (kind := KINDS[at // 400]):  # among the others
                columns[kind] = pa.array(f"{origins[n % len(origins)]}/{kind}/{n}" for n in numbers)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
    return path.stat().st_size
