"""Which snapshots a table's bounds no longer keep, and which files are a table's own to delete."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata, TableMetadataV2
from pyiceberg.table.refs import SnapshotRef
from pyiceberg.table.snapshots import Snapshot, SnapshotLogEntry
from pyiceberg.table.sorting import SortOrder

from imagefeatures.catalog import past, retention
from imagefeatures.settings import Retention

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
OWN = {retention.KEEP_SNAPSHOTS: "20", retention.KEEP_DAYS: "7", retention.KEEP_TAGS: "30"}


def days_ago(days: float) -> int:
    """That moment in milliseconds."""
    return int((NOW - dt.timedelta(days=days)).timestamp() * 1000)


def metadata(ages: list[float], properties: dict[str, str], refs: dict[str, int] | None = None) -> TableMetadata:
    """Of a table with snapshots 1, 2, … of these ages in days. refs: from a branch's name to a snapshot."""
    heads = {"main": len(ages)} | (refs or {})
    return TableMetadataV2(
        location="file:///lake/t",
        last_column_id=0,
        schemas=[Schema()],
        partition_specs=[PartitionSpec()],
        sort_orders=[SortOrder()],
        properties=properties,
        snapshots=[
            Snapshot(
                snapshot_id=at, sequence_number=at, timestamp_ms=days_ago(age), manifest_list=f"{at}.avro",
                parent_snapshot_id=at - 1 or None,
            )
            for at, age in enumerate(ages, 1)
        ],
        snapshot_log=[
            SnapshotLogEntry(snapshot_id=at, timestamp_ms=days_ago(age)) for at, age in enumerate(ages, 1)
        ],
        refs={name: SnapshotRef(snapshot_id=at, snapshot_ref_type="branch") for name, at in heads.items()},
        current_snapshot_id=len(ages),
        last_sequence_number=len(ages),
    )  # fmt: skip


def expired(ages: list[float], properties: dict[str, str], refs: dict[str, int] | None = None) -> list[int]:
    return [s.snapshot_id for s in retention.expired_snapshots(metadata(ages, properties, refs), NOW)]


def test_a_table_lacks_what_iceberg_needs_and_the_bounds_that_differ_from_the_settings() -> None:
    kept = Retention(snapshots=20, days=7)
    iceberg = {
        "write.metadata.previous-versions-max": "20",
        "write.metadata.delete-after-commit.enabled": "true",
        "commit.manifest-merge.enabled": "true",
        "commit.manifest.min-count-to-merge": "10",
        "commit.manifest.target-size-bytes": "65536",
    }
    assert retention.properties(kept, {}) == iceberg | OWN
    assert retention.properties(kept, dict.fromkeys(iceberg, "chosen")) == OWN
    assert retention.properties(kept, iceberg | OWN) == {}
    assert retention.properties(kept, iceberg | OWN | {retention.KEEP_DAYS: "8"}) == {retention.KEEP_DAYS: "7"}


def test_snapshots_beyond_the_number_go_oldest_first_as_soon_as_they_are_a_group() -> None:
    """Of 20, a group is four."""
    group = Retention(snapshots=20, days=7).group
    assert expired([0.5] * (20 + group - 1), OWN) == []
    assert expired([0.5] * (20 + group), OWN) == list(range(1, group + 1))


def test_the_usual_bounds_hold_where_a_table_has_none_of_its_own() -> None:
    usual = Retention()
    assert expired([0.5] * (usual.snapshots + usual.group), {}) == list(range(1, usual.group + 1))
    assert expired([usual.days + 2, usual.days + 1, 0], {}) == [1]


def test_a_snapshot_goes_once_it_has_been_replaced_for_longer_than_its_days() -> None:
    assert expired([30, 7.5, 6.5, 0], OWN) == [1]  # the second one was the current one until six days ago
    assert expired([30, 7, 6, 0], OWN) == []  # to the millisecond


def test_heads_of_branches_never_go_and_take_no_others_place() -> None:
    assert expired([30, 29, 28, 0], OWN, {"audit": 2}) == [1]
    group = Retention(snapshots=20, days=7).group
    assert expired([0.5] * (20 + group), OWN, {"audit": 1}) == []
    assert expired([0.5] * (21 + group), OWN, {"audit": 1}) == list(range(2, group + 2))


def test_a_snapshot_without_a_place_in_the_log_counts_from_its_own_time() -> None:
    made = metadata([30, 6, 0], OWN)
    forgetful = made.model_copy(update={"snapshot_log": made.snapshot_log[-1:]})
    assert [s.snapshot_id for s in retention.expired_snapshots(forgetful, NOW)] == [1]


def test_snapshots_are_told_apart_by_sequence_number_and_those_of_format_one_by_time() -> None:
    made = metadata([0.5] * 30, OWN)
    shuffled = made.model_copy(update={"snapshots": made.snapshots[::-1]})
    oldest = list(range(1, 11))
    assert [s.snapshot_id for s in retention.expired_snapshots(shuffled, NOW)] == oldest
    first_format = [
        snapshot.model_copy(update={"sequence_number": None, "timestamp_ms": days_ago(1) + snapshot.snapshot_id})
        for snapshot in made.snapshots[::-1]
    ]
    old = made.model_copy(update={"snapshots": first_format})
    assert [s.snapshot_id for s in retention.expired_snapshots(old, NOW)] == oldest
    of_a_fast_clock = made.snapshots[0].model_copy(update={"sequence_number": None, "timestamp_ms": days_ago(0)})
    numbered = [s.model_copy(update={"sequence_number": s.snapshot_id - 1}) for s in made.snapshots[1:]]
    upgraded = made.model_copy(update={"snapshots": [*numbered, of_a_fast_clock]})
    assert [s.snapshot_id for s in retention.expired_snapshots(upgraded, NOW)] == oldest


@pytest.mark.parametrize(
    ("uri", "own"),
    [
        ("file:///lake/t/data/1.parquet", True),
        ("file:///lake/t/a..b.parquet", True),
        ("file:///lake/t", False),
        ("file:///lake/t2/1.parquet", False),
        ("file:///lake/t/../u/1.parquet", False),
        ("file:///lake/t/data/..", False),
    ],
)
def test_a_tables_own_files_lie_below_its_folder(uri: str, own: bool) -> None:
    assert retention._is_below("file:///lake/t", uri) is own


def test_forgotten_versions_of_the_metadata_are_those_beyond_the_number_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of version 30 the earlier twenty are kept, those that the table still names, and those of another catalog."""
    for number in range(31):
        (tmp_path / f"{number:05}-ab.metadata.json").touch()
        (tmp_path / f"{number:05}-cd.metadata.json").touch()
    own = {f"file://{tmp_path}/{number:05}-ab.metadata.json" for number in range(31)}
    monkeypatch.setattr(past, "forgotten_by_log", lambda _, files: own & files.keys())
    for other in ("snap-1.avro", "00001-ab-m0.avro", "00002.metadata.json", "x00003-ab.metadata.json"):
        (tmp_path / other).touch()
    named = SimpleNamespace(metadata_file=f"file://{tmp_path}/00004-ab.metadata.json")
    table = SimpleNamespace(
        metadata_location=f"file://{tmp_path}/00030-ab.metadata.json", metadata=SimpleNamespace(metadata_log=[named])
    )
    forgotten = [Path(uri).name[:8] for uri in retention._old_versions(cast("Table", table))]
    assert forgotten == [f"{number:05}-ab" for number in range(10) if number != 4]
    table.metadata_location = f"file://{tmp_path}/of-another-writer.json"
    assert retention._old_versions(cast("Table", table)) == []


def test_what_a_clean_up_still_has_to_remove_stays_named_until_it_is_gone(tmp_path: Path) -> None:
    """Lists of which one is gone meanwhile; then all are."""
    (tmp_path / "1.avro").touch()
    lists = [f"file://{tmp_path}/{number}.avro" for number in (1, 2)]
    assert committed(metadata([0.5], OWN | {retention.PENDING: json.dumps(lists)}))[0] == lists[:1]
    assert committed(metadata([0.5], OWN | {retention.PENDING: json.dumps(lists[1:])})) == (None, [])
    assert committed(metadata([0.5], OWN)) == ("nothing", [])
    assert committed(metadata([30, 20, 0.5], OWN | {retention.PENDING: json.dumps(lists)})) == (
        [lists[0], "1.avro"],
        [1],
    )


def committed(of_table: TableMetadata) -> tuple[list[str] | str | None, list[int]]:
    """What a publication says is pending (None: the property goes; "nothing": it says nothing), and what expires."""
    said: dict[str, Any] = {"pending": "nothing", "expired": []}

    class Change:
        table_metadata = of_table

        def _apply(self, updates: tuple[Any, ...]) -> None:
            said["expired"] += updates[0].snapshot_ids

        def set_properties(self, properties: dict[str, str]) -> None:
            said["pending"] = json.loads(properties[retention.PENDING])

        def remove_properties(self, name: str) -> None:
            assert name == retention.PENDING
            said["pending"] = None

    def new_input(uri: str) -> Any:
        return SimpleNamespace(exists=lambda: Path(uri.removeprefix("file://")).exists())

    table = SimpleNamespace(io=SimpleNamespace(new_input=new_input))
    retention.expire(cast("Table", table), cast("Any", Change()))
    return said["pending"], said["expired"]
