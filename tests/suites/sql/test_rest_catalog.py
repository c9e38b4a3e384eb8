"""The tables in a REST catalog: the same promises as on a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures import read
from imagefeatures.catalog import tables
from imagefeatures.datasets import Dataset
from imagefeatures.errors import CatalogRefused
from imagefeatures.plan import plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support.publishing import DAY, SPAWN, features_file, in_processes, open_first, swap_in


def test_a_partition_is_replaced_and_read_back(on_rest: Settings, tmp_path: Path) -> None:
    table = tables.open_table(tables.open_catalog(on_rest), on_rest, "photos")
    assert tables.replace_files(table, DAY, [features_file(tmp_path, "first")], "first")
    later = [features_file(tmp_path, "later", rows=2)]
    assert tables.replace_files(table, DAY, later, "later")
    assert not tables.replace_files(table, DAY, later, "later")
    assert read.table(on_rest, "photos", columns=("run_id",))["run_id"].to_pylist() == ["later"] * 2
    assert read.runs(on_rest) == []
    assert table.location() == f"{on_rest.lake}/warehouse/features/photos"


def test_three_runs_that_publish_one_partition_at_once_leave_exactly_one_runs_rows(
    on_rest: Settings, tmp_path: Path
) -> None:
    start = SPAWN.Barrier(3)
    in_processes(swap_in, [(on_rest, str(tmp_path), f"run-{at}", start) for at in range(3)])
    rows = read.table(on_rest, "photos", columns=("run_id",))["run_id"].to_pylist()
    assert len(rows) == 3
    assert len(set(rows)) == 1


def test_four_first_runs_at_once_all_find_one_and_the_same_table(on_rest: Settings) -> None:
    found, start = SPAWN.Queue(), SPAWN.Barrier(4)
    in_processes(open_first, [([on_rest], found, start)] * 4)
    assert len({found.get() for _ in range(4)}) == 1


def test_a_path_without_a_catalog_is_refused_by_the_plan(on_rest: Settings) -> None:
    wrong = Settings(on_rest.lake, on_rest.catalog + "/wrong", on_rest.datasets, on_rest.cache)
    with pytest.raises(CatalogRefused, match=rf"^REST catalog {wrong.catalog}: ") as refused:
        plan_run(Dataset(name="photos", source="file:///none/"), RunParams(), DAY, wrong)
    assert "\n" not in str(refused.value)
