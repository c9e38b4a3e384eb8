"""A table keeps a bounded part of its past: what is beyond is gone from metadata and store, all else is whole."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from pyiceberg.table import Table

from imagefeatures import read
from imagefeatures.catalog import retention, tables
from imagefeatures.errors import SettingsError
from imagefeatures.settings import Retention, Settings
from support import lakes
from support.growing import (
    FIRST_GROUP,
    GROUP,
    KEPT,
    Publish,
    kinds,
    read_whole_past,
    rejected_row,
    run_file,
    runs_row,
    unnamed_files,
)
from support.publishing import DAY


def test_what_is_kept_is_a_setting() -> None:
    lake = {"IMAGEFEATURES_LAKE": "file:///lake"}
    assert Settings.from_env(lake).retention == Retention(snapshots=100, days=30, tags=30)
    own = {"IMAGEFEATURES_KEEP_SNAPSHOTS": "10", "IMAGEFEATURES_KEEP_DAYS": "365"}
    own["IMAGEFEATURES_KEEP_TAGS"] = "0"
    assert Settings.from_env(lake | own).retention == Retention(snapshots=10, days=365, tags=0)


@pytest.mark.parametrize(
    ("name", "value"), [("SNAPSHOTS", "9"), ("SNAPSHOTS", "-1"), ("SNAPSHOTS", "1e3"), ("DAYS", "0"), ("DAYS", "week")]
)
def test_a_bound_that_is_none_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^IMAGEFEATURES_KEEP_{name}: '{value}' is not a whole number from "):
        Settings.from_env({"IMAGEFEATURES_LAKE": "file:///lake", f"IMAGEFEATURES_KEEP_{name}": value})


def test_snapshots_beyond_the_number_and_all_that_only_they_name_are_removed(
    photos: Table, publish: Publish, few
) -> None:
    for number in range(20):
        publish(f"run-{number}")
        retention.remove_expired(photos, few.lake)
        assert len(photos.metadata.snapshots) < KEPT + GROUP
        assert unnamed_files(photos) == set()
    assert read_whole_past(photos)[-1] == 3
    found = kinds(photos)
    assert found["list"] == len(photos.metadata.snapshots)
    assert found["data"] <= KEPT
    assert found["version"] <= retention.VERSIONS_KEPT + 1
    assert len(json.loads(photos.properties[retention.PENDING])) == GROUP  # the last group's, all gone by now
    tables.replace_files(photos, "2026-11-03", [run_file(few, "new", "2026-11-03")], "new")  # one snapshot is no group
    assert retention.PENDING not in photos.properties


def test_a_table_that_all_datasets_share_keeps_the_number_too(few: Settings) -> None:
    table = tables.open_table(tables.open_catalog(few), few, "quarantine")
    for number in range(FIRST_GROUP):
        tables.replace_rows(table, DAY, "photos", rejected_row("photos", f"run-{number}"), f"run-{number}")
    assert len(table.metadata.snapshots) == KEPT


def test_manifests_that_a_commit_writes_and_merges_at_once_are_removed(photos: Table, few: Settings) -> None:
    for number in range(25):
        partition = f"day-{number:02}"
        tables.replace_files(photos, partition, [run_file(few, f"run-{number}", partition)], f"run-{number}")
        retention.remove_expired(photos, few.lake)
        assert unnamed_files(photos) == set(), number
    assert photos.scan().to_arrow().num_rows == 75
    assert len(photos.current_snapshot().manifests(photos.io)) < 10  # so some were merged


def test_a_replaced_snapshot_is_kept_for_its_days_from_the_moment_it_was_replaced(
    photos: Table, publish: Publish
) -> None:
    for number in range(3):
        publish(f"run-{number}")
    metadata, now = photos.metadata, dt.datetime.now(dt.UTC)
    old = metadata.model_copy(
        update={
            "snapshots": [s.model_copy(update={"timestamp_ms": 0}) for s in metadata.snapshots],
            "snapshot_log": [
                entry.model_copy(update={"timestamp_ms": 0}) if entry != metadata.snapshot_log[-1] else entry
                for entry in metadata.snapshot_log
            ],
        }
    )
    first, *_, before_last, last = [entry.snapshot_id for entry in metadata.snapshot_log]
    day = dt.timedelta(days=1)
    assert [s.snapshot_id for s in retention.expired_snapshots(metadata, now + 29 * day)] == []
    assert {first, before_last} <= {s.snapshot_id for s in retention.expired_snapshots(metadata, now + 31 * day)}
    # All are decades old, but the last but one was the current one until now: somebody may be reading it.
    expired = {s.snapshot_id for s in retention.expired_snapshots(old, now)}
    assert first in expired
    assert not {before_last, last} & expired


def test_branches_and_tags_keep_what_they_name(photos: Table, publish: Publish, few: Settings) -> None:
    publish("tagged")
    with photos.manage_snapshots() as change:
        change.create_tag(photos.current_snapshot().snapshot_id, "release")
    publish("branched")
    with photos.manage_snapshots() as change:
        change.create_branch(photos.current_snapshot().snapshot_id, "audit")
    for number in range(20):
        publish(f"run-{number}")
        retention.remove_expired(photos, few.lake)
    rows = {
        name: photos.scan().use_ref(name).to_arrow()["run_id"].unique().to_pylist() for name in ("release", "audit")
    }
    assert rows == {"release": ["tagged"], "audit": ["branched"]}
    assert len(photos.metadata.snapshots) < KEPT + GROUP + 2
    assert unnamed_files(photos) == set()


def test_a_table_from_before_the_bounds_gets_them_when_it_is_published_next(
    few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful = {"write.metadata.previous-versions-max": "5"}  # as Iceberg's 100 would, after more publications
    with monkeypatch.context() as patch:  # a version that bounds nothing
        patch.setattr(retention, "properties", lambda *_: forgetful)
        patch.setattr(retention, "expire", lambda *_: None)
        old = tables.open_table(tables.open_catalog(few), few, "photos")
        for number in range(30):
            tables.replace_files(old, DAY, [run_file(few, f"run-{number}")], f"run-{number}")
    assert kinds(old) == {"version": 31, "list": 59, "manifest": 59, "data": 30}
    table = tables.open_table(tables.open_catalog(few), few, "photos")
    assert table.properties.items() >= (retention.ICEBERG_PROPERTIES | forgetful).items()
    tables.replace_files(table, DAY, [run_file(few, "new")], "new")
    retention.remove_expired(table, few.lake)
    assert {path for path in unnamed_files(table) if not path.endswith(".metadata.json")} == set()
    assert kinds(table)["version"] <= retention.VERSIONS_KEPT + 1
    assert len(read_whole_past(table)) == KEPT


def test_a_value_that_somebody_has_set_stays(photos: Table, few: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with photos.transaction() as change:
        change.set_properties({"commit.manifest.min-count-to-merge": "77"})
    monkeypatch.setenv("IMAGEFEATURES_KEEP_DAYS", "90")
    table = tables.open_table(tables.open_catalog(few), Settings.from_env(), "photos")
    assert table.properties["commit.manifest.min-count-to-merge"] == "77"
    assert table.properties[retention.KEEP_DAYS] == "90"


@pytest.fixture
def _twelve_small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are made into one, in place of 32: each is a publication of a tenth of a second."""
    assert tables.SMALL_FILES == 32
    monkeypatch.setattr(tables, "SMALL_FILES", 12)


@pytest.mark.usefixtures("_twelve_small_files")
def test_one_row_files_of_runs_are_made_into_one_and_every_row_stays(few: Settings) -> None:
    table = tables.open_table(tables.open_catalog(few), few, "runs")
    files: list[int] = []
    for number in range(tables.SMALL_FILES + 3):
        tables.replace_rows(
            table, f"day-{number}", "photos", runs_row("photos", f"run-{number}", f"day-{number}"), f"run-{number}"
        )
        files.append(int(table.current_snapshot().summary["total-data-files"]))
    assert files == [*range(1, tables.SMALL_FILES + 1), 1, 2, 3]
    rows = {row["partition_key"]: row["run_id"] for row in read.runs(few)}
    assert rows == {f"day-{number}": f"run-{number}" for number in range(tables.SMALL_FILES + 3)}
    tables.replace_rows(table, "day-3", "photos", runs_row("photos", "later", "day-3"), "later")
    again = {row["partition_key"]: row["run_id"] for row in read.runs(few)}
    assert again == rows | {"day-3": "later"}
    assert read.table(few, "runs", partitions=("day-3",))["run_id"].to_pylist() == ["later"]


@pytest.mark.usefixtures("_twelve_small_files")
def test_rows_of_the_quarantine_stay_in_their_partitions(few: Settings) -> None:
    table = tables.open_table(tables.open_catalog(few), few, "quarantine")
    files: list[str] = []
    for number in range(tables.SMALL_FILES + 5):
        tables.replace_rows(table, f"day-{number}", "photos", rejected_row("photos", "run", f"day-{number}"), "run")
        (file,) = {task.file.file_path for task in table.scan().plan_files()} - set(files)
        files.append(file)  # none of the others was written anew
    assert len(list(table.scan().plan_files())) == tables.SMALL_FILES + 5
    assert len(table.current_snapshot().manifests(table.io)) <= 10


@pytest.mark.usefixtures("_twelve_small_files")
def test_runs_of_an_older_lake_are_no_longer_partitioned_and_all_read(few: Settings, tmp_path: Path) -> None:
    lakes.lay_out("0.1.0", tmp_path)
    before = read.runs(few)
    table = tables.open_table(tables.open_catalog(few), few, "runs")
    assert (table.spec().fields, {len(spec.fields) for spec in table.specs().values()}) == ((), {0, 1})
    assert read.runs(few) == before
    for number in range(tables.SMALL_FILES + 3):
        tables.replace_rows(table, f"day-{number}", "photos", runs_row("photos", "run", f"day-{number}"), "run")
    older = [row | {"slowest": []} for row in before]  # a list of structs that is null, as pyiceberg writes it
    assert [row for row in read.runs(few) if row["run_id"] != "run"] == older
    (row,) = [row for row in before if row["partition_key"] == DAY]
    tables.replace_rows(table, DAY, "photos", runs_row("photos", "later"), "later")
    assert [r["run_id"] for r in read.runs(few) if r["partition_key"] == DAY] == ["later"] != [row["run_id"]]
