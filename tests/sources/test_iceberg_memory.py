"""The memory that listing an Iceberg table takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from imagefeatures.settings import Settings
from support import shops


@pytest.mark.long
def test_memory_does_not_grow_with_the_file(settings: Settings, tmp_path: Path) -> None:
    """Listed in a process of its own: ten times as many rows in one file need hardly more memory."""
    script = (
        "import re; from pathlib import Path; from imagefeatures.sources import IcebergTable\n"
        "given = {'kind': 'url_table', 'iceberg': 'shop.products', 'url': 'photo', 'key': 'id'}\n"
        "table = IcebergTable.model_validate(given)\n"
        "count = sum(1 for _ in table.items())\n"
        "print(count, int(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]) // 1024)"
    )
    peaks = []
    for count in (400_000, 4_000_000):
        folder = tmp_path / str(count)
        numbers = pa.array(range(count))
        urls = pc.binary_join_element_wise("file:///photos/", numbers.cast(pa.string()), "")
        table = pa.table({"id": numbers, "photo": urls})
        shops.products(settings, folder, table, **{"write.parquet.row-group-limit": "100000"})
        told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        found, peak = map(int, told.stdout.split())
        assert found == count
        peaks.append(peak)
        shops.catalog_of(settings, folder).drop_table(shops.NAME)
    assert peaks[1] < peaks[0] + 64, peaks
