"""A table whose files Spark has rewritten is read, reused, replaced and cleaned up like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyiceberg.table import Table

from imagefeatures import read
from imagefeatures.catalog import known_files, retention, tables
from imagefeatures.settings import Settings
from support.compacting import compact
from support.growing import folder_of, run_file
from support.publishing import DAY
from support.reading import in_order


@pytest.fixture
def compacted(photos: Table, few: Settings) -> str:
    """features.photos holds two files of a run, which Spark has made into one; the path of that one."""
    files = [run_file(few, run_id) for run_id in ("run-0", "run-1")]
    tables.replace_files(photos, DAY, files, "run-0")
    return compact(photos, DAY)


def test_its_uris_are_those_that_the_rest_of_the_package_knows(photos: Table, few: Settings, compacted: str) -> None:
    (task,) = photos.scan().plan_files()
    assert task.file.file_path == f"file:{compacted}"
    catalog = tables.open_catalog(few)
    assert known_files.files_with(catalog, "photos", "f") == [(f"file://{compacted}", Path(compacted).stat().st_size)]
    assert read.files(few, "photos") == [f"file://{compacted}"]
    assert in_order(read.table(few, "photos", columns=("partition_key", "uri", "run_id"))) == in_order(
        photos.scan(selected_fields=("partition_key", "uri", "run_id")).to_arrow()
    )


def test_files_that_are_there_already_are_not_swapped_in_again(photos: Table, compacted: str) -> None:
    assert tables.replace_files(photos, DAY, [f"file://{compacted}"], "run-0") is False


@pytest.mark.long
def test_its_past_is_cleaned_up_and_nothing_else(photos: Table, few: Settings, compacted: str) -> None:
    snapshot = photos.current_snapshot()
    assert snapshot is not None
    assert "file:///" not in snapshot.manifest_list
    for number in range(2, 16):
        tables.replace_files(photos, DAY, [run_file(few, f"run-{number}")], f"run-{number}")
        retention.remove_expired(photos, few.lake)
    assert not Path(compacted).exists()
    data = {path.name.rpartition("-shard")[0] for path in folder_of(photos).glob("data/*/*.parquet")}
    kept = {
        run_id
        for known in photos.metadata.snapshots
        for run_id in photos.scan(snapshot_id=known.snapshot_id).to_arrow()["run_id"].unique().to_pylist()
    }
    assert data == kept
