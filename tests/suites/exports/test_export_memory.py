"""The memory of an export does not grow with the table: 200,000 rows of 1,280 values, and 5,000 pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.exports import make_table
from imagefeatures import schemas
from imagefeatures.pixels import PixelFormat, as_binary
from imagefeatures.settings import REPOSITORY, Settings
from support import pixel_tables

ROWS = 200_000
PICTURES = 5000
MOST_MIB = 700

EXPORT = """
import sys
from benchmarks.memory import peak_mib
from imagefeatures import cli
status = cli.main(["export", "photos", "--to", *sys.argv[1:]])
print(peak_mib())
sys.exit(status)
"""


@pytest.mark.parametrize("in_order", [True, False], ids=["in order", "scattered"])
def test_memory_is_bounded(
    in_order: bool, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_table(settings, tmp_path / "files", ROWS, in_order=in_order)
    for name in ("out.npy", "out.h5", "out.parquet"):
        command = [sys.executable, "-c", EXPORT, str(tmp_path / name)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peak = float(done.stdout.splitlines()[-1])
        (tmp_path / name).unlink()
        (tmp_path / "out.parquet").unlink(missing_ok=True)
        with capsys.disabled():
            print(f"\n{name}, {ROWS:,} rows: {peak:,.0f} MiB")
        assert peak < MOST_MIB


def test_memory_is_bounded_for_pixels_too(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = PixelFormat.of_shape((224, 224, 3))
    numbers = np.random.default_rng(0).permutation(PICTURES).reshape(10, -1)
    same = as_binary(pixel_tables.pictures(range(numbers.shape[1]), kind))
    files = []
    for of_file in numbers:
        rows = pixel_tables.rows_of(of_file.tolist(), kind=pixel_tables.KIND)
        at = rows.schema.get_field_index("pixels")
        files.append(rows.set_column(at, schemas.pixels_table(kind).field("pixels"), same))
    pixel_tables.publish(settings, tmp_path, files, kind=kind)
    for name in ("out.npy", "out.h5", "out.parquet", "out.tar"):
        command = [sys.executable, "-c", EXPORT, str(tmp_path / name), "--what", "pixels"]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peak = float(done.stdout.splitlines()[-1])
        (tmp_path / name).unlink()
        (tmp_path / "out.parquet").unlink(missing_ok=True)
        with capsys.disabled():
            print(f"\n{name}, {PICTURES:,} pictures: {peak:,.0f} MiB")
        assert peak < MOST_MIB
