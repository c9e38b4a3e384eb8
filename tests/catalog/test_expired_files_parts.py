"""What a manifest list says of its snapshot, and what is not said: then more is read, and nothing is taken for gone."""

from __future__ import annotations

from typing import Any

import pytest
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.typedef import Record

from imagefeatures.catalog import expired_files, manifests, retention, tables
from imagefeatures.catalog.expired_files import _Snapshot
from imagefeatures.settings import Settings
from support.growing import Publish, run_file

DAYS = ("2026-11-02", "2026-11-20")


def manifest(added_by: int | None, added_files: int | None = 1) -> ManifestFile:
    return ManifestFile.from_args(manifest_path="m", added_snapshot_id=added_by, added_files_count=added_files)


def test_a_manifest_may_be_of_a_commit_unless_it_says_another() -> None:
    snapshot = _Snapshot(5, None, {})
    assert [snapshot.wrote(manifest(number)) for number in (5, None, 4)] == [True, True, False]
    assert _Snapshot(None, None, {}).wrote(manifest(4)), "a list without its snapshot's id"


def test_a_commit_may_have_added_files_in_its_own_manifests_alone() -> None:
    named = {"own": manifest(5), "older": manifest(4), "marks": manifest(5, 0), "unknown": manifest(5, None)}
    assert set(_Snapshot(5, None, named).added) == {"own", "unknown"}


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), ("0", 0), ("null", None), ("-1", None), ("", None), (None, None)]
)
def test_a_number_that_a_list_does_not_say_is_none(text: str | None, number: int | None) -> None:
    assert expired_files._number(text) == number


@pytest.mark.parametrize(
    ("parent", "of_parent", "own", "follows"),
    [
        (1, 7, 8, True),
        (1, 7, 9, False),
        (1, 7, 7, False),
        (1, 7, 6, False),
        (1, None, 8, False),
        (2, 7, 8, False),
        (None, 7, 8, False),
    ],
)
def test_a_snapshot_follows_a_kept_parent_by_one_commit(
    parent: int | None, of_parent: int | None, own: int, follows: bool
) -> None:
    kept = {1: Snapshot(snapshot_id=1, sequence_number=of_parent, manifest_list="a")}
    snapshot = Snapshot(snapshot_id=3, parent_snapshot_id=parent, sequence_number=own, manifest_list="b")
    assert expired_files._follows(snapshot, kept) is follows


@pytest.fixture
def of_days(photos: Table, few: Settings) -> dict[str, ManifestFile]:
    """The manifests of a table of two partitions, one for each of them, by the partition."""
    for day in DAYS:
        tables.replace_files(photos, day, [run_file(few, "first", day)], "first")
    current = photos.refresh().current_snapshot()
    assert current
    named = expired_files.manifests_of(photos.io, current.manifest_list).values()
    return {one.partitions[0].lower_bound.decode(): one for one in named if one.partitions}  # type: ignore[union-attr]


def test_manifests_are_passed_over_only_where_all_files_lie_by_one_text(
    photos: Table, of_days: dict[str, ManifestFile]
) -> None:
    spec, other = photos.spec().spec_id, of_days[DAYS[1]]

    def may_name_other(*places: tuple[int, Record]) -> bool:
        return expired_files._may_name(photos, {str(at): place for at, place in enumerate(places)})(other)

    assert not may_name_other((spec, Record(DAYS[0])))
    assert may_name_other((spec, Record(DAYS[0])), (spec, Record(DAYS[1])))
    assert may_name_other((spec, Record(DAYS[0])), (spec, Record(None)))
    assert may_name_other((spec, Record(DAYS[0], DAYS[0])))
    assert may_name_other((spec, Record(DAYS[0])), (spec + 1, Record(DAYS[0])))
    assert may_name_other((spec + 1, Record(DAYS[0]))), "a spec that the table no longer has"
    other._data[2] = spec + 1
    assert may_name_other((spec, Record(DAYS[0]))), "a manifest of another spec"


def test_files_of_a_snapshot_without_an_id_are_looked_for_in_all_its_manifests(
    photos: Table, of_days: dict[str, ManifestFile]
) -> None:
    """Another list that says no parent is not the one after it."""
    nameless = _Snapshot(None, None, dict(of_days))
    others = [_Snapshot(None, None, {}), _Snapshot(4, 3, {})]
    only = {DAYS[0]: of_days[DAYS[0]]}
    files = expired_files._taken_away(photos.io, others, only, nameless)
    assert [place for _, place in files.values()] == [Record(DAYS[0])]


def test_marks_of_earlier_commits_are_not_looked_at_again(photos: Table, publish: Publish) -> None:
    for run_id in ("first", "second"):
        publish(run_id)
    named = {
        path: one
        for snapshot in photos.refresh().snapshots()
        for path, one in expired_files.manifests_of(photos.io, snapshot.manifest_list).items()
    }
    (path,) = (path for path, one in named.items() if one.deleted_files_count)
    expired, marks = _Snapshot(98, None, {}), {path: named[path]}
    marked = _Snapshot(named[path].added_snapshot_id, 98, marks)
    (file,) = expired_files._taken_away(photos.io, [marked], {}, expired)
    assert "/first-shard-" in file
    assert expired_files._taken_away(photos.io, [_Snapshot(99, 98, marks)], {}, expired) == {}


def test_a_manifest_of_which_no_commit_says_that_it_wrote_it_stays(
    photos: Table, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        publish(f"run-{number}")
    oldest = photos.refresh().metadata.snapshots[:3]
    with photos.transaction() as change:
        retention.expire_these(photos, change, [one.snapshot_id for one in oldest])
    photos.refresh()
    lists = [one.manifest_list for one in oldest]
    _, named = expired_files.only_named_by(lists, photos)
    assert named
    read = manifests.read_list

    def unsigned(io: FileIO, uri: str) -> Any:
        head, found = read(io, uri)
        for one in found:
            one._data[6] = None
        return head, found

    monkeypatch.setattr(manifests, "read_list", unsigned)
    assert expired_files.only_named_by(lists, photos)[1] == set()
