"""Metadata files beside a table's own: a commit that was killed, an older place of the lake, or another's table."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.table import Table

from imagefeatures import storage
from imagefeatures.catalog import sweep
from imagefeatures.errors import CatalogRefused
from imagefeatures.storage.objects import StoredObject
from support.growing import Publish, folder_of
from support.relocating import path_of

ANOTHER = "00000000-0000-4000-8000-000000000000"
ELSEWHERE = {"location": "file:///elsewhere/warehouse/features/photos"}
NO_SNAPSHOTS: dict[str, Any] = {"snapshots": [], "current-snapshot-id": None, "snapshot-log": [], "refs": {}}
LONG_AGO = 1_000_000_000


@pytest.fixture
def table(photos: Table, publish: Publish) -> Table:
    """A table of three publications: its versions are 0 to 3, and 3 is the current one."""
    for run_id in ("first", "second", "third"):
        publish(run_id)
    assert sweep._version(photos.metadata_location) == 3
    return photos


def beside(table: Table, name: str, log: list[str] | None = None, **changes: Any) -> str:
    """Write a copy of the current metadata with changes beside it. log: the files that it names as those before it."""
    content = json.loads(path_of(table.metadata_location).read_text()) | changes
    if log is not None:
        content["metadata-log"] = [{"metadata-file": uri, "timestamp-ms": at} for at, uri in enumerate(log)]
    place = path_of(table.metadata_location).with_name(name)
    place.write_text(json.dumps(content))
    return f"file://{place}"


def named(table: Table, name: str) -> str:
    """The URI of a metadata file of that name."""
    return f"{table.metadata_location.rpartition('/')[0]}/{name}"


def listed(table: Table) -> list[StoredObject]:
    return list(storage.list_objects(f"file://{folder_of(table)}"))


def spared(table: Table, objects: list[StoredObject] | None = None) -> set[str]:
    found = listed(table) if objects is None else objects
    return sweep._refuse_foreign(table, f"file://{folder_of(table)}", found)


def refused(table: Table, uri: str, objects: list[StoredObject] | None = None) -> None:
    with pytest.raises(CatalogRefused) as why:
        spared(table, objects)
    said = f"features.photos: {uri} is of a table, or of commits, that this catalog does not know: another catalog may"
    assert str(why.value).startswith(said)


def written(uri: str, seconds: int) -> None:
    os.utime(path_of(uri), (seconds, seconds))


def test_a_tables_own_files_are_not_looked_at(table: Table) -> None:
    in_a_partition_of_this_name = folder_of(table) / "data" / "partition_key=a.metadata.json"
    in_a_partition_of_this_name.mkdir()
    (in_a_partition_of_this_name / "run-shard-00000.parquet").write_bytes(b"rows")
    current = path_of(table.metadata_location)
    current.with_name(f".{current.name}.crc").write_bytes(b"crc")
    assert spared(table) == set()


@pytest.mark.parametrize("changes", [{}, NO_SNAPSHOTS], ids=["rows", "no rows"])
def test_a_commit_that_was_killed_follows_one_of_the_tables_own(table: Table, changes: dict[str, Any]) -> None:
    beside(table, "00004-killed.metadata.json", [table.metadata_location], **changes)
    beside(table, "00003-killed.metadata.json", **changes)
    assert spared(table) == set()


def test_a_version_beyond_the_next_is_of_commits_that_are_not_known(table: Table) -> None:
    refused(table, beside(table, "00005-later.metadata.json", [table.metadata_location]))


def test_a_file_that_follows_none_of_the_tables_own_is_of_commits_that_are_not_known(table: Table) -> None:
    own = table.metadata_location
    first = beside(table, "00004-a.metadata.json", [own])
    refused(table, beside(table, "00004-b.metadata.json", [own, first]))
    path_of(named(table, "00004-b.metadata.json")).unlink()
    refused(table, beside(table, "00004-c.metadata.json", [own, named(table, "00003-gone.metadata.json")]))


def test_a_file_without_a_log_is_of_the_tables_beginning(table: Table) -> None:
    beside(table, "00000-a.metadata.json", [])
    beside(table, "v1.metadata.json", [])
    assert spared(table) == set()
    assert sweep._version(named(table, "v1.metadata.json")) == 0


def test_a_file_that_follows_one_that_the_log_has_forgotten_is_the_tables_own(table: Table) -> None:
    names = {"write.metadata.previous-versions-max": "1", "write.metadata.delete-after-commit.enabled": "true"}
    for number in range(3):
        with table.transaction() as change:
            change.set_properties(names | {"number": str(number)})
    kept = sorted(path_of(table.metadata_location).parent.glob("*.metadata.json"))
    assert [file.name[:6] for file in kept] == ["00005-", "00006-"]
    beside(table, "00004-killed.metadata.json", [named(table, "00003-gone.metadata.json")])
    assert spared(table) == set()
    beside(table, "00006-killed.metadata.json", [named(table, "00004-gone.metadata.json")])
    refused(table, named(table, "00006-killed.metadata.json"))


def test_a_file_that_follows_anothers_early_one_is_of_commits_that_are_not_known(table: Table) -> None:
    for number in range(3):
        with table.transaction() as change:
            change.set_properties({"write.metadata.previous-versions-max": "1", "number": str(number)})
    first = beside(table, "00002-a.metadata.json", [])
    assert spared(table) == set()
    refused(table, beside(table, "00003-b.metadata.json", [first]))


def test_what_the_log_has_forgotten_and_earlier_files_still_name_is_the_tables_own(table: Table) -> None:
    short = {"write.metadata.previous-versions-max": "1", "write.metadata.delete-after-commit.enabled": "false"}
    for number in range(4):
        with table.transaction() as change:
            change.set_properties(short | {"number": str(number)})
    assert len(list(path_of(table.metadata_location).parent.glob("*.metadata.json"))) == 8
    assert spared(table) == set()


def test_another_table_in_the_same_folder_is_refused_unless_it_tells_of_no_file(table: Table) -> None:
    uri = beside(table, "00001-other.metadata.json", **{"table-uuid": ANOTHER})
    refused(table, uri)
    written(uri, LONG_AGO)
    refused(table, uri)
    beside(table, "00001-other.metadata.json", **{"table-uuid": ANOTHER}, **NO_SNAPSHOTS)
    assert spared(table) == {uri}


def test_a_file_of_the_time_before_the_lake_was_relocated_is_left_to_its_age(table: Table) -> None:
    uri = beside(table, "00002-older.metadata.json", **ELSEWHERE)
    for own in path_of(uri).parent.glob("*.metadata.json"):
        written(f"file://{own}", LONG_AGO)
    for seconds in (LONG_AGO - 1, LONG_AGO):
        written(uri, seconds)
        assert spared(table) == set()
    written(uri, LONG_AGO + 1)
    refused(table, uri)


def test_a_store_that_says_no_times_says_none_of_that_time_either(table: Table) -> None:
    uri = beside(table, "00002-older.metadata.json", **ELSEWHERE)
    timeless = [replace(one, modified=None) for one in listed(table)]
    assert spared(table, timeless) == set()
    refused(table, uri, [replace(one, modified=1.0) if one.uri == uri else one for one in timeless])
    refused(table, uri, [replace(one, modified=1.0) for one in timeless if one.uri == uri])


def test_a_file_that_a_commit_removes_meanwhile_is_nobodys(table: Table) -> None:
    found = listed(table)
    gone = StoredObject(named(table, "00001-gone.metadata.json"), 9, "")
    assert spared(table, [*found, gone]) == set()


def test_a_file_that_cannot_be_read_is_named(table: Table) -> None:
    Path(folder_of(table) / "metadata" / "00009-ab.metadata.json").write_bytes(b"abc")
    with pytest.raises(CatalogRefused, match=r"^features\.photos: file://.*/00009-ab\.metadata\.json cannot be read"):
        spared(table)
