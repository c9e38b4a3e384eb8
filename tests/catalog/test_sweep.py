"""What a sweep of one table finds in its folder, what it leaves, and in which order it deletes the rest."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table
from pyiceberg.table.statistics import PartitionStatisticsFile, StatisticsFile

from imagefeatures import storage
from imagefeatures.catalog import retention, sweep, tables
from imagefeatures.catalog.sweep import TableSweep
from imagefeatures.errors import CatalogRefused, StoreRefused
from imagefeatures.settings import Retention, Settings
from support.growing import Publish, folder_of, read_whole_past, run_file
from support.publishing import DAY
from support.relocating import path_of

NOW = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
BEFORE = 1_000_000_000
"""Files that were last written before are old."""

Write = Callable[..., str]


@pytest.fixture
def swept(photos: Table, publish: Publish, few: Settings) -> TableSweep:
    """A sweep of a table of three publications of one partition, that keeps a snapshot for a day."""
    for run_id in ("first", "second", "third"):
        publish(run_id)
    return TableSweep(photos, few.lake, Retention(days=1))


@pytest.fixture
def write(photos: Table) -> Write:
    """write(name, seconds=…): a file of three bytes in the table's folder, last written then. Returns its URI."""

    def write(name: str, seconds: int = BEFORE - 1) -> str:
        path = folder_of(photos) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"abc")
        os.utime(path, (seconds, seconds))
        return f"file://{path}"

    return write


def uris(found: list[storage.StoredObject]) -> set[str]:
    return {stored.uri for stored in found}


def there(table: Table) -> set[str]:
    return {f"file://{path}" for path in folder_of(table).rglob("*") if path.is_file()}


def test_old_files_that_nothing_names_are_strays(swept: TableSweep, write: Write) -> None:
    assert (swept.snapshots, swept.folder) == (0, f"file://{folder_of(swept.table)}")
    old = {write("data/old.parquet"), write("metadata/snap-1-0-old.avro"), write("metadata/old-m0.avro")}
    for file in there(swept.table) - old:
        os.utime(path_of(file), (1, 1))  # what is named is no stray, however old
    write("data/younger.parquet", BEFORE)
    swept.look(NOW, BEFORE)
    assert uris(swept.strays) == old


def test_a_file_of_which_the_store_says_no_time_is_no_stray(
    swept: TableSweep, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("data/timeless.parquet")
    listing = storage.list_objects
    monkeypatch.setattr(storage, "list_objects", lambda uri: (replace(one, modified=None) for one in listing(uri)))
    swept.look(NOW, BEFORE)
    assert swept.strays == []


def test_metadata_that_tells_of_no_file_is_no_stray(swept: TableSweep) -> None:
    lost = path_of(swept.table.metadata_location).with_name("00000-lost.metadata.json")
    content = swept.table.metadata.model_copy(
        update={"table_uuid": uuid.UUID(int=1), "snapshots": [], "current_snapshot_id": None,
                "snapshot_log": [], "refs": {}}
    )  # fmt: skip
    lost.write_text(content.model_dump_json())
    os.utime(lost, (1, 1))
    swept.look(NOW, BEFORE)
    assert swept.strays == []


def test_what_old_snapshots_alone_name_is_what_goes_when_they_expire(swept: TableSweep) -> None:
    count = len(swept.table.metadata.snapshots)
    swept.look(NOW, BEFORE)
    assert swept.snapshots == count - 1
    expired, before = uris(swept.expired), there(swept.table)
    assert {uri for uri in expired if "/data/" in uri} == {
        uri for uri in before if "/first-shard-" in uri or "/second-shard-" in uri
    }
    assert expired <= before
    swept.expire(NOW)
    gone = before - there(swept.table)
    assert {uri for uri in gone if not uri.endswith(".metadata.json")} == expired
    assert len(swept.table.refresh().metadata.snapshots) == 1
    assert swept.table.properties[retention.KEEP_DAYS] == "1"
    assert read_whole_past(swept.table) == [3]


def test_where_nothing_is_old_nothing_expires(swept: TableSweep) -> None:
    version = swept.table.metadata_location
    now = dt.datetime.now(dt.UTC)
    swept.look(now, BEFORE)
    swept.expire(now)
    assert (swept.snapshots, swept.expired, swept.strays) == (0, [], [])
    assert swept.table.refresh().metadata_location == version


def test_a_table_that_was_opened_before_others_changed_it_is_looked_at_as_it_is(
    swept: TableSweep, few: Settings
) -> None:
    other = tables.open_catalog(few).load_table("features.photos")
    for number in range(3):
        with other.transaction() as change:
            change.set_properties({"number": str(number)})
    swept.look(NOW, BEFORE)
    assert swept.strays == []
    tables.replace_files(other, DAY, [run_file(few, "fourth")], "fourth")
    swept.expire(NOW)
    assert [one.snapshot_id for one in swept.table.refresh().snapshots()] == [other.metadata.current_snapshot_id]


def test_files_of_runs_that_can_be_published_are_left(swept: TableSweep, write: Write) -> None:
    strays = [write(f"data/{name}-shard-00000.parquet") for name in ("live", "dead")]
    swept.look(NOW, BEFORE)
    expired = uris(swept.expired)
    swept.settle({"live-", "first-"})
    assert uris(swept.strays) == {strays[1]}
    assert uris(swept.expired) == {uri for uri in expired if "/first-" not in uri} < expired


def test_files_that_are_published_after_the_listing_are_left(swept: TableSweep, few: Settings) -> None:
    published, dead = (run_file(few, run_id) for run_id in ("fourth", "dead"))
    for uri in (published, dead):
        os.utime(path_of(uri), (1, 1))
    swept.look(NOW, BEFORE)
    assert uris(swept.strays) == {published, dead}
    table = tables.open_catalog(few).load_table("features.photos")
    tables.replace_files(table, DAY, [published], "fourth")
    swept.settle(())
    assert uris(swept.strays) == {dead}


def test_strays_are_deleted_metadata_first_and_data_last(
    swept: TableSweep, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("data/a.parquet", "metadata/b-m0.avro", "metadata/snap-1-0-c.avro", "metadata/00000-d.metadata.json")
    strays = [write(name) for name in names]
    swept.strays = [storage.StoredObject(uri, 3, "") for uri in strays]
    deleted: list[str] = []
    delete = PyArrowFileIO.delete

    def noted(io: PyArrowFileIO, location: Any) -> None:
        deleted.append(str(location))
        delete(io, location)

    monkeypatch.setattr(PyArrowFileIO, "delete", noted)
    swept.remove()
    assert deleted == strays[::-1]
    assert not any(path_of(uri).exists() for uri in strays)
    assert [sweep._depth(uri) for uri in strays] == [3, 2, 1, 0]


def test_a_table_whose_files_go_while_it_is_read_is_read_again(swept: TableSweep, few: Settings) -> None:
    calls: list[str] = []

    def read(commits: int, fails: int) -> str:
        calls.append(swept.table.metadata_location)
        if len(calls) <= commits:
            with tables.open_catalog(few).load_table("features.photos").transaction() as change:
                change.set_properties({"calls": str(len(calls))})
        if len(calls) <= fails:
            raise FileNotFoundError("gone")
        return "read"

    assert swept._as_it_is(lambda: read(0, 0)) == "read"
    assert len(calls) == 1
    calls.clear()
    assert swept._as_it_is(lambda: read(2, 2)) == "read"
    assert len(set(calls)) == len(calls) == 3
    calls.clear()
    assert swept._as_it_is(lambda: read(0, 1)) == "read", "once more, of the state that is the newest"
    assert len(calls) == 2
    calls.clear()
    with pytest.raises(FileNotFoundError, match="gone"):
        swept._as_it_is(lambda: read(99, 99))
    assert len(calls) == retention.TRIES + 1
    calls.clear()
    with pytest.raises(FileNotFoundError, match="gone"):
        swept._as_it_is(lambda: read(0, 99))
    assert len(calls) == 2


def test_statistics_are_named_as_long_as_their_snapshot_counts(swept: TableSweep) -> None:
    first, last = (swept.table.metadata.snapshots[at].snapshot_id for at in (0, -1))

    def whole(snapshot: int) -> StatisticsFile:
        return StatisticsFile(
            snapshot_id=snapshot, statistics_path=f"file:/lake/{snapshot}.puffin", file_size_in_bytes=1,
            file_footer_size_in_bytes=1, blob_metadata=[],
        )  # fmt: skip

    def partial(snapshot: int) -> PartitionStatisticsFile:
        return PartitionStatisticsFile(
            snapshot_id=snapshot, statistics_path=f"file:/lake/{snapshot}.parquet", file_size_in_bytes=1
        )

    before = swept._named()
    swept.table.metadata = swept.table.metadata.model_copy(
        update={"statistics": [whole(first), whole(last)], "partition_statistics": [partial(first), partial(last)]}
    )
    of = {number: {f"file:///lake/{number}.puffin", f"file:///lake/{number}.parquet"} for number in (first, last)}
    assert swept._named() == before | of[first] | of[last]
    assert of[last] <= swept._named({first})
    assert of[first].isdisjoint(swept._named({first}))
    assert swept.table.metadata.snapshots[0].manifest_list in before - swept._named({first})


def test_a_table_that_lies_elsewhere_is_left(swept: TableSweep) -> None:
    elsewhere = {"location": "file:///elsewhere"}
    swept.table.metadata = swept.table.metadata.model_copy(update=elsewhere)
    with pytest.raises(CatalogRefused, match=r"^features\.photos: lies in file:///elsewhere, and not in file://"):
        swept.look(NOW, BEFORE)


def test_a_folder_behind_a_link_is_left(swept: TableSweep, tmp_path: Path) -> None:
    folder = folder_of(swept.table)
    folder.rename(tmp_path / "away")
    folder.symlink_to(tmp_path / "away")
    line = rf"^file://{folder} leads to {tmp_path}/away by a link; nothing is removed there$"
    with pytest.raises(StoreRefused, match=line):
        swept.look(NOW, BEFORE)


def test_a_lake_that_is_reached_by_a_link_or_in_a_store_is_swept(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "lake")
    sweep.refuse_link(f"file://{tmp_path}/link", f"file://{tmp_path}/link/warehouse")
    sweep.refuse_link("s3://bucket/lake", "s3://bucket/lake/warehouse")
