"""Damaged footers of Parquet files with images: each is a row, whatever Arrow would do with it."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures.errors import InputError
from imagefeatures.sources import ParquetBytes, parquet_footer
from support.doors import parquet
from support.photos import fill

COLUMNS: dict[str, Any] = {
    "image": [{"bytes": b"x" * 50, "path": "p"}] * 20,
    "id": list(range(20)),
    "label": ["a"] * 20,
}
FUZZ = """
import sys
from test_parquet_footer import judge
print(sum(judge(seed) for seed in range(int(sys.argv[1]))))
"""


def damaged(seed: int) -> bytes:
    """A file with up to four bytes of its footer changed."""
    data, chance = bytearray(parquet(COLUMNS)), random.Random(seed)
    begin = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for _ in range(chance.choice([1, 1, 2, 4])):
        data[chance.randrange(begin, len(data) - 8)] = chance.choice([0, 0x80, 0xFF, chance.randrange(256)])
    return bytes(data)


def judge(seed: int) -> bool:
    """List and read one damaged file: True where it is refused as a table of another shape, as a whole."""
    path = Path(f"{seed}.parquet").absolute()
    path.write_bytes(damaged(seed))
    fields = {"kind": "parquet_bytes", "uri": f"file://{path}", "key": "id", "label": {"column": "label"}}
    source = ParquetBytes.model_validate(fields)
    try:
        items = list(source.items())
    except InputError:
        return True
    assert 1 <= len(items) <= 20
    good = [item for item in items if not item.rejected]
    assert len(list(source.fetch(good, 1 << 20))) == len(good)
    path.unlink()
    return False


def test_no_damaged_footer_ends_the_process(tmp_path: Path) -> None:
    path = [str(Path(__file__).parent), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{FUZZ}", "2000"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 40


def test_a_footer_says_what_arrow_says(tmp_path: Path) -> None:
    table = pa.table({"image": pa.array([b"ab", b"c"] * 50), "n": [1.5, None] * 50, "l": [[1, 2], []] * 50})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=30)
    with (tmp_path / "a.parquet").open("rb", buffering=0) as file:
        rows, groups = parquet_footer.read_footer(
            parquet_footer.fetch_footer(file, (tmp_path / "a.parquet").stat().st_size)
        )
    known = pq.read_metadata(tmp_path / "a.parquet")
    assert (rows, [group.rows for group in groups]) == (100, [30, 30, 30, 10])
    for number, group in enumerate(groups):
        for at, column in enumerate(group.columns):
            arrow = known.row_group(number).column(at)
            assert column.path.decode() == arrow.path_in_schema
            assert (column.values, column.size) == (arrow.num_values, arrow.total_uncompressed_size)
            assert column.dictionary == (arrow.dictionary_page_offset or 0)


@pytest.mark.parametrize("data", [b"", b"PAR1PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b"PAR1\0\0\0\0PAR1", b"x" * 50])
def test_what_has_no_footer_is_a_damaged_file(tmp_path: Path, data: bytes) -> None:
    fill(tmp_path, {"a.parquet": data, "b.parquet": parquet({"image": [b"y"]})})
    damaged_file, whole = ParquetBytes(kind="parquet_bytes", uri=f"file://{tmp_path}/").items()
    assert whole.rejected is None
    assert damaged_file.rejected is not None
    assert damaged_file.rejected.reason == "CORRUPT"
