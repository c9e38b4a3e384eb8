"""The slowest shards of a run: chosen among all steps, and kept in its row of features.runs."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from imagefeatures import local, read, schemas, shards
from imagefeatures.catalog import tables
from imagefeatures.settings import Settings
from imagefeatures.shards import Receipt, StagedFile
from imagefeatures.slowest import slowest
from imagefeatures.steps import SPARK_STEPS, register
from support.growing import runs_row
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun


def receipt(step: str, shard: int, seconds: float) -> Receipt:
    return Receipt(step, shard, 7 + shard, StagedFile("file:///f", 0, "", 7), None, {}, 0.0, seconds)


def test_the_slowest_shards_of_all_steps_come_first_and_are_at_most_five() -> None:
    seconds = {("ingest", 0): 2.0, ("ingest", 1): 9.5, ("resize", 0): 4.0, ("resize", 1): 1.0, ("featurize", 0): 8.0}
    receipts = [receipt(*which, taken) for which, taken in seconds.items()] + [receipt("validate", 3, 0.5)]
    assert slowest(receipts) == [
        {"step": "ingest", "shard": 1, "images": 8, "seconds": 9.5},
        {"step": "featurize", "shard": 0, "images": 7, "seconds": 8.0},
        {"step": "resize", "shard": 0, "images": 7, "seconds": 4.0},
        {"step": "ingest", "shard": 0, "images": 7, "seconds": 2.0},
        {"step": "resize", "shard": 1, "images": 8, "seconds": 1.0},
    ]
    assert slowest([]) == []


def test_register_keeps_the_slowest_shards_in_the_row_of_the_run(
    make_run: MakeRun, tmp_path: Path, settings: Settings
) -> None:
    run = make_run(fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(4)}), {"shard_images": 2})
    local.run_steps(run, THIS_PROCESS)
    receipts = [one for step in SPARK_STEPS for one in shards.read_receipts(run.layout, step)]
    assert len(receipts) == 8
    outcome = register.register(run.layout.run_file, settings)
    (row,) = read.runs(settings)
    assert row["slowest"] == outcome.row["slowest"] == slowest(receipts)
    assert len(row["slowest"]) == 5
    assert {one["images"] for one in row["slowest"]} == {2}


def test_rows_from_before_the_column_have_none_and_stay_beside_those_that_have_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = schemas.RUNS.remove(schemas.RUNS.get_field_index("slowest"))
    catalog = tables.open_catalog(settings)
    with monkeypatch.context() as patched:
        patched.setitem(schemas.TABLES, "runs", earlier)
        table = tables.open_table(catalog, settings, "runs")
        assert tables.replace_rows(table, "2026-11-02", "old", runs_row("old", "o").select(earlier.names), "o")
    assert [row["slowest"] for row in read.runs(settings)] == [None]
    table, kept = tables.open_table(catalog, settings, "runs"), slowest([receipt("resize", 5, 3.25)])
    monkeypatch.setattr(tables, "SMALL_FILES", 3)
    for number in range(6):  # the files become one in between, and pyiceberg makes the null an empty list
        (row,) = runs_row(f"new{number}", "n").to_pylist()
        rows = pa.Table.from_pylist([row | {"slowest": kept}], schema=schemas.RUNS)
        assert tables.replace_rows(table, "2026-11-02", f"new{number}", rows, "n")
    found = {row["dataset"]: row["slowest"] for row in read.runs(settings)}
    assert found == {"old": []} | {f"new{number}": kept for number in range(6)}
    assert len(list(table.refresh().scan().plan_files())) < 4
