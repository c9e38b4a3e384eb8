"""Which files only expired snapshots name: the same as by reading everything, and hardly anything is read for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.expressions import NotNull
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO, parquet_files_to_data_files, schema_to_pyarrow
from pyiceberg.manifest import ManifestContent, ManifestEntry, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import DateType, DoubleType, PrimitiveType, StringType

from imagefeatures.catalog import expired_files, manifests, retention, tables
from imagefeatures.settings import Settings
from support.expiring import DAYS, History, by_reading_everything, merge_soon, there
from support.growing import Publish, read_whole_past, run_file, unnamed_files
from support.relocating import path_of


@pytest.mark.parametrize("seed", range(12))
def test_what_only_expired_snapshots_name_is_what_reading_every_manifest_finds(
    photos: Table, few: Settings, seed: int
) -> None:
    merge_soon(photos)
    history = History(photos, few, seed)
    often = [history.publish] * 4 + [history.come_back, history.empty, history.go_back, history.tag, history.untag]
    history.publish()
    for _ in range(30):
        history.random.choice([*often, history.expire, history.expire])()
    history.expire()
    assert history.looks > 0
    history.clean_up()
    read_whole_past(photos)
    assert {path for path in unnamed_files(photos) if path.endswith(".parquet")} == set()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The manifests that are read."""
    found: list[str] = []
    entries = manifests._entries

    def counted(io: FileIO, manifest: ManifestFile) -> list[ManifestEntry]:
        found.append(manifest.manifest_path)
        return entries(io, manifest)

    monkeypatch.setattr(manifests, "_entries", counted)
    yield found


def expired_lists(photos: Table, count: int) -> list[str]:
    """The manifest lists of the oldest snapshots, which expire."""
    oldest = photos.refresh().metadata.snapshots[:count]
    with photos.transaction() as change:
        retention.expire_these(photos, change, [one.snapshot_id for one in oldest])
    photos.refresh()
    return [one.manifest_list for one in oldest]


def test_where_nothing_was_replaced_no_manifest_is_read(photos: Table, few: Settings, read: list[str]) -> None:
    for number in range(12):
        tables.replace_files(
            photos, f"day-{number}", [run_file(few, f"run-{number}", f"day-{number}")], f"run-{number}"
        )
    lists = expired_lists(photos, 6)
    read.clear()
    files, named = expired_files.only_named_by(lists, photos)
    assert (files, len(named), read) == (set(), 0, [])


def test_what_was_replaced_is_looked_for_in_few_manifests(photos: Table, publish: Publish, read: list[str]) -> None:
    for number in range(5):
        publish(f"run-{number}")
    lists = expired_lists(photos, 6)  # each publication but the first made two snapshots
    read.clear()
    files, _ = expired_files.only_named_by(lists, photos)
    assert sorted(file.rpartition("/")[2][:5] for file in files) == ["run-0", "run-1", "run-2"]
    kept = len(photos.metadata.snapshots)
    assert kept == 3
    assert len(read) == 5 < 3 + 3 + kept  # the marks, what the oldest one holds, and what was added since


def test_manifests_of_other_partitions_stay_unread(photos: Table, few: Settings, read: list[str]) -> None:
    days = [f"2026-11-{number:02d}" for number in range(1, 29)]
    for day in days:
        tables.replace_files(photos, day, [run_file(few, "first", day)], "first")
    for day in days[9:11]:
        tables.replace_files(photos, day, [run_file(few, "second", day)], "second")
    tables.replace_files(photos, days[0], [run_file(few, "second", days[0])], "second")
    count = len(photos.refresh().metadata.snapshots)
    lists = expired_lists(photos, count - 3)  # what the two days held before; not the first one
    read.clear()
    files, _ = expired_files.only_named_by(lists, photos)
    assert {day for day in days for file in files if f"partition_key={day}/" in file} == set(days[9:11])
    current = photos.current_snapshot()
    assert current
    of_others = [
        path
        for path, manifest in expired_files.manifests_of(photos.io, current.manifest_list).items()
        if manifest.partitions and (manifest.partitions[0].lower_bound or b"").decode() > days[10]
    ]
    assert of_others
    assert set(of_others).isdisjoint(read)


def test_a_manifest_of_deletes_is_never_passed_over(photos: Table, few: Settings, read: list[str]) -> None:
    """A file of deletion vectors stands in it under several partitions: Spark writes one for all that it deletes."""
    for day in ("2026-11-02", "2026-11-20"):
        tables.replace_files(photos, day, [run_file(few, "first", day)], "first")
    current = photos.refresh().current_snapshot()
    assert current
    named = {
        one.partitions[0].lower_bound: one
        for one in expired_files.manifests_of(photos.io, current.manifest_list).values()
        if one.partitions
    }
    other = named[b"2026-11-20"]
    may_name = expired_files._may_name(photos, expired_files._live(photos.io, named[b"2026-11-02"]))
    assert not may_name(other)
    other._data[3] = ManifestContent.DELETES
    assert other.content == ManifestContent.DELETES
    assert may_name(other)


@pytest.mark.parametrize("kind", [StringType(), DoubleType(), DateType()])
def test_a_table_whose_partitions_another_program_has_changed_is_cleaned_up(
    photos: Table, few: Settings, kind: PrimitiveType
) -> None:
    """For a while it is partitioned by a column of that program, which is dropped afterwards."""
    value = {StringType(): "eu", DoubleType(): 0.5, DateType(): dt.date(2026, 11, 2)}[kind]
    tables.replace_files(photos, DAYS[0], [run_file(few, "first", DAYS[0])], "first")
    rows = photos.scan().to_arrow()
    with photos.update_schema() as schema:
        schema.add_column("region", kind)
    with photos.update_spec() as spec:
        spec.remove_field("partition_key")
        spec.add_identity("region")
    of_region = pa.array([value] * len(rows), schema_to_pyarrow(kind))
    photos.append(rows.append_column("region", of_region))
    photos.delete(NotNull("region"))  # its file is taken away
    with photos.update_spec() as spec:
        spec.remove_field("region")
        spec.add_identity("partition_key")
    with photos.update_schema() as schema:
        schema.delete_column("region")
    for number, day in enumerate([*DAYS[1:], *DAYS] * 4):
        tables.replace_files(photos, day, [run_file(few, f"run-{number}", day)], f"run-{number}")
        retention.remove_expired(photos, few.lake)
    assert {path for path in unnamed_files(photos) if path.endswith(".parquet")} == set()


def manifests_with_deleted(photos: Table) -> list[str]:
    found = {
        path: manifest
        for snapshot in photos.metadata.snapshots
        for path, manifest in expired_files.manifests_of(photos.io, snapshot.manifest_list).items()
    }
    return [path for path, manifest in found.items() if manifest.deleted_files_count]


def test_a_mark_that_an_earlier_clean_up_has_deleted_is_made_up_for(photos: Table, publish: Publish) -> None:
    for number in range(6):
        publish(f"run-{number}")
    marks = manifests_with_deleted(photos)
    lists = expired_lists(photos, 7)
    expected = by_reading_everything(lists, photos)
    read_of_expired = {path for uri in lists for path in expired_files.manifests_of(photos.io, uri)}
    for path in marks:
        if path in read_of_expired & expected[1]:
            path_of(path).unlink()
    files, _ = expired_files.only_named_by(lists, photos)
    assert files == expected[0] != set()


def test_a_manifest_that_a_snapshot_names_must_not_be_gone(photos: Table, publish: Publish) -> None:
    for number in range(6):
        publish(f"run-{number}")
    lists = expired_lists(photos, 5)
    current = photos.current_snapshot()
    assert current
    for path in expired_files.manifests_of(photos.io, current.manifest_list):
        path_of(path).unlink()
    with pytest.raises(FileNotFoundError):
        expired_files.only_named_by(lists, photos)


def current(photos: Table) -> int:
    found = photos.refresh().current_snapshot()
    assert found
    return found.snapshot_id


def tag(photos: Table) -> int:
    photos.manage_snapshots().create_tag(current(photos), "kept").commit()
    return current(photos)


def expire(photos: Table, *snapshots: int) -> list[str]:
    """Let these expire. Returns the lists that a clean-up still has to remove."""
    with photos.transaction() as change:
        retention.expire_these(photos, change, snapshots)
    return retention._existing(retention._pending(photos.refresh().metadata), photos)


def test_a_commit_that_says_delete_may_have_added_a_file(photos: Table, few: Settings) -> None:
    """Iceberg's Java calls a commit so that adds the positions of rows that are gone, in a file of its own."""
    tables.replace_files(photos, DAYS[0], [run_file(few, "first", DAYS[0])], "first")
    added = run_file(few, "added", DAYS[1])
    with photos.transaction() as change, change.update_snapshot().overwrite() as commit:
        commit._operation = Operation.DELETE
        for file in parquet_files_to_data_files(photos.io, photos.metadata, iter([added])):
            commit.append_data_file(file)
    kept = tag(photos)
    tables.replace_files(photos, DAYS[2], [run_file(few, "next", DAYS[2])], "next")
    expiring = current(photos)
    tables.replace_files(photos, DAYS[1], [], "none")
    lists = expire(photos, expiring)
    assert expired_files.only_named_by(lists, photos)[0] == set()
    assert added in {task.file.file_path for task in photos.scan(snapshot_id=kept).plan_files()}


def test_what_an_interrupted_clean_up_left_is_found_when_the_snapshot_before_expires(
    photos: Table, few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge_soon(photos)
    replaced = run_file(few, "first", DAYS[0])
    tables.replace_files(photos, DAYS[0], [replaced], "first")
    first = current(photos)
    tables.replace_files(photos, DAYS[1], [run_file(few, "first", DAYS[1])], "first")
    kept = tag(photos)
    tables.replace_files(photos, DAYS[2], [run_file(few, "next", DAYS[2])], "next")  # and merges the manifests
    merging = current(photos)
    tables.replace_files(photos, DAYS[0], [], "none")
    taking_away = current(photos)
    tables.replace_files(photos, DAYS[1], [run_file(few, "last", DAYS[1])], "last")
    expire(photos, first, merging, taking_away)
    delete = PyArrowFileIO.delete

    def die(io: PyArrowFileIO, location: Any) -> None:
        if "/snap-" in str(location):
            raise KeyboardInterrupt
        delete(io, location)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PyArrowFileIO, "delete", die)
        retention.remove_expired(photos, few.lake)
    photos.manage_snapshots().remove_tag("kept").commit()
    files, _ = expired_files.only_named_by(expire(photos, kept), photos)
    assert replaced in there(files)


def test_a_snapshot_may_have_manifests_of_another_one_than_its_parent(photos: Table, few: Settings) -> None:
    """pyiceberg notes the parent when a commit is begun, and takes the manifests when it ends."""
    tables.replace_files(photos, DAYS[0], [run_file(few, "first", DAYS[0])], "first")
    with photos.transaction() as change:
        begun = change.update_snapshot().overwrite()
        change.add_files([run_file(few, "between", DAYS[1])])
        between = change.table_metadata.current_snapshot_id
        begun.commit()
    kept = photos.refresh().current_snapshot()
    assert kept
    assert between not in (None, kept.parent_snapshot_id)
    tables.replace_files(photos, DAYS[1], [], "none")
    tables.replace_files(photos, DAYS[2], [run_file(few, "last", DAYS[2])], "last")
    lists = expire(photos, int(str(between)))
    assert expired_files.only_named_by(lists, photos) == by_reading_everything(lists, photos)
