"""Manifest lists and manifests, as pyiceberg reads them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestEntryStatus, ManifestFile, read_manifest_list
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from imagefeatures.catalog import manifests
from support.growing import Publish


def fields(record: Record) -> tuple[type, list[object]]:
    """What a record is and holds, with the types of all, in the order of its schema."""
    held = (value if isinstance(value, list) else [value] for value in record._data)
    return type(record), [fields(one) if isinstance(one, Record) else (type(one), one) for some in held for one in some]


def lists_of(photos: Table) -> list[str]:
    return [snapshot.manifest_list for snapshot in photos.refresh().metadata.snapshots]


def all_manifests(photos: Table) -> dict[str, ManifestFile]:
    found = (one for uri in lists_of(photos) for one in read_manifest_list(photos.io.new_input(uri)))
    return {one.manifest_path: one for one in found}


@pytest.fixture
def grown(photos: Table, publish: Publish) -> Table:
    """A table whose manifests are written in two schemas: it got a column."""
    publish("run-1")
    publish("run-2")
    with photos.update_schema() as update:
        update.union_by_name(pa.schema([pa.field("note", pa.string())]))
    publish("run-3")
    return photos.refresh()


def test_a_list_is_as_pyiceberg_reads_it(grown: Table) -> None:
    for uri, snapshot in zip(lists_of(grown), grown.metadata.snapshots, strict=True):
        head, named = manifests.read_list(grown.io, uri)
        assert head["snapshot-id"] == str(snapshot.snapshot_id)
        assert list(map(fields, named)) == list(map(fields, read_manifest_list(grown.io.new_input(uri))))


def test_a_manifest_is_as_pyiceberg_reads_it(grown: Table) -> None:
    statuses = set()
    for manifest in all_manifests(grown).values():
        entries = manifest.fetch_manifest_entry(grown.io, discard_deleted=False)
        statuses |= {entry.status for entry in entries}
        assert {type(entry.status) for entry in manifests._entries(grown.io, manifest)} == {ManifestEntryStatus}
        dead = [fields(one.data_file) for one in entries if one.status == ManifestEntryStatus.DELETED]
        alive = [fields(one.data_file) for one in entries if one.status != ManifestEntryStatus.DELETED]
        assert list(map(fields, manifests.live(grown.io, manifest))) == alive
        assert list(map(fields, manifests.taken_away(grown.io, manifest))) == dead
    assert {ManifestEntryStatus.ADDED, ManifestEntryStatus.DELETED} <= statuses


def test_a_file_that_is_gone_or_is_no_list(grown: Table, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        manifests.read_list(PyArrowFileIO(), str(tmp_path / "gone.avro"))
    (tmp_path / "empty.avro").touch()
    with pytest.raises(EOFError):
        manifests.read_list(PyArrowFileIO(), str(tmp_path / "empty.avro"))
