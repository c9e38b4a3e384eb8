"""exports.estimate: the size that is told is that of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures.exports import export
from imagefeatures.settings import Settings
from support.exporting import publish, rows_of, scattered


@pytest.fixture
def _table(settings: Settings, tmp_path: Path) -> None:
    scattered(settings, tmp_path, 6000, files=9, width=200)


@pytest.mark.usefixtures("_table")
@pytest.mark.parametrize("suffix", ["h5", "npy", "npz", "arrow", "parquet", "csv", "tar"])
def test_the_estimate_is_within_five_percent(suffix: str, settings: Settings, tmp_path: Path) -> None:
    target = tmp_path / "out" / f"out.{suffix}"
    ready = export.prepare(settings, export.Request("photos", str(target)))
    size = ready.write()
    assert size == sum(path.stat().st_size for path in target.parent.iterdir())
    assert ready.bytes == pytest.approx(size, rel=0.05)


def test_a_small_table_is_measured_whole(settings: Settings, tmp_path: Path) -> None:
    scattered(settings, tmp_path, 3, files=1)
    ready = export.prepare(settings, export.Request("photos", str(tmp_path / "out.csv")))
    assert ready.bytes == ready.write()


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "h5"])
def test_one_chosen_row_in_each_file_does_not_mislead(suffix: str, settings: Settings, tmp_path: Path) -> None:
    files = [rows_of(range(first, first + 4), width=1280) for first in range(0, 160, 4)]  # one pear in each
    publish(settings, tmp_path, files)
    target = str(tmp_path / "out" / f"out.{suffix}")
    ready = export.prepare(settings, export.Request("photos", target, selection={"labels": ["pear"]}))
    assert ready.content.rows == 40
    assert ready.bytes == pytest.approx(ready.write(), rel=0.1)
