"""Each publication is tagged, a replaced one no longer is, and tags hold a bounded part of a table's past."""

from __future__ import annotations

import pytest
from pyiceberg.table import Table

from imagefeatures import read
from imagefeatures.catalog import tables, undo
from imagefeatures.settings import Retention, Settings
from support.growing import KEPT, read_whole_past, rejected_row, run_file
from support.publishing import DAY

MOST = Retention(snapshots=KEPT).most_tags


@pytest.fixture
def quarantine(few: Settings) -> Table:
    return tables.open_table(tables.open_catalog(few), few, "quarantine")


def publish(table: Table, settings: Settings, run_id: str, partition: str = DAY) -> None:
    tables.replace_files(table, partition, [run_file(settings, run_id, partition)], run_id)


def tags(table: Table) -> set[str]:
    return set(table.refresh().metadata.refs) - {"main"}


def test_the_run_that_stands_has_a_tag_by_which_its_table_is_read(photos: Table, few: Settings) -> None:
    for run_id in ("one", "two"):
        publish(photos, few, run_id)
    publish(photos, few, "other", "2026-11-03")
    assert tags(photos) == {"run-two", "run-other"}
    then = photos.scan().use_ref("run-two").to_arrow()
    assert then["run_id"].unique().to_pylist() == ["two"]
    assert read.table(few, "photos", run_id="two").num_rows == then.num_rows == 3
    assert photos.scan().use_ref("run-other").to_arrow().num_rows == 6


@pytest.mark.long
def test_a_tables_rows_of_two_datasets_have_a_tag_each(quarantine: Table) -> None:
    for dataset, run_id in (("photos", "one"), ("birds", "two"), ("photos", "three")):
        tables.replace_rows(quarantine, DAY, dataset, rejected_row(dataset, run_id), run_id)
    assert tags(quarantine) == {"run-two", "run-three"}
    tables.replace_rows(quarantine, DAY, "birds", rejected_row("birds", "four").slice(1), "four")  # none is rejected
    assert tags(quarantine) == {"run-three"}


def test_what_leaves_a_partition_empty_has_no_tag(photos: Table, few: Settings) -> None:
    """It would hold the other partitions, and those may be taken back next."""
    publish(photos, few, "one")
    publish(photos, few, "other", "2026-11-03")
    tables.replace_files(photos, DAY, [], "withdrawal")
    assert tags(photos) == {"run-other"}
    tables.replace_files(photos, "2026-11-03", [], "another-withdrawal")
    assert tags(photos) == set()


@pytest.mark.long
def test_the_oldest_tags_go_and_with_them_what_they_held(photos: Table, few: Settings) -> None:
    assert MOST == 3
    days = [f"2026-11-{day:02}" for day in range(1, 8)]
    for day in days:
        publish(photos, few, f"at-{day}", day)
    assert tags(photos) == {f"run-at-{day}" for day in days[-MOST:]}
    assert len(read_whole_past(photos)) <= KEPT + few.retention.group


@pytest.mark.long
def test_an_old_tag_holds_its_snapshot_beside_the_newest_ones(photos: Table, few: Settings) -> None:
    publish(photos, few, "rare", "2026-11-01")
    for number in range(8):
        publish(photos, few, f"often-{number}")
    assert tags(photos) == {"run-rare", "run-often-7"}
    assert read.table(few, "photos", run_id="rare").num_rows == 3
    assert len(read_whole_past(photos)) <= KEPT + few.retention.group + 1


@pytest.mark.long
def test_tags_of_others_stay_whatever_their_names(photos: Table, few: Settings) -> None:
    publish(photos, few, "one")
    with photos.manage_snapshots() as change:
        change.create_tag(photos.metadata.snapshots[0].snapshot_id, "run-for-the-paper")
        change.create_tag(photos.metadata.snapshots[0].snapshot_id, "run-two")
    for run_id in ("three", "four"):
        publish(photos, few, run_id)
    assert tags(photos) == {"run-for-the-paper", "run-two", "run-four"}


@pytest.mark.long
def test_without_a_number_there_is_none(few: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tables.open_table(tables.open_catalog(few), few, "photos")
    publish(photos, few, "one")
    monkeypatch.setenv("IMAGEFEATURES_KEEP_TAGS", "0")
    none = Settings.from_env()
    photos = tables.open_table(tables.open_catalog(none), none, "photos")
    publish(photos, none, "two", "2026-11-03")
    assert tags(photos) == set()


def test_a_run_that_is_taken_back_loses_its_tag(photos: Table, few: Settings) -> None:
    publish(photos, few, "one")
    publish(photos, few, "refused")
    assert undo.take_back(photos, DAY, "refused")
    assert tags(photos) == set()
    assert photos.scan().to_arrow()["run_id"].unique().to_pylist() == ["one"]
