"""How much room a publication needs, and on which disks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyiceberg.table import Table

from imagefeatures.catalog import room, tables
from imagefeatures.errors import StoreRefused
from imagefeatures.settings import Settings
from support.growing import run_file
from support.publishing import DAY


class Disk:
    """What the system says of a disk. asked: of which folders."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free, self.files, self.files_left, self.asked = 10**12, 1000, 1000, list[Path]()
        monkeypatch.setattr(room.os, "statvfs", self._status)
        monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=self.free))

    def _status(self, folder: Path) -> SimpleNamespace:
        self.asked.append(folder)
        return SimpleNamespace(f_files=self.files, f_favail=self.files_left)


@pytest.fixture
def photos(settings: Settings) -> Table:
    """A table with one publication."""
    table = tables.open_table(tables.open_catalog(settings), settings, "photos")
    tables.replace_files(table, DAY, [run_file(settings, "one")], "one")
    return table


@pytest.fixture
def disk(photos: Table, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_publication_needs_twice_its_rows_the_metadata_and_twice_all_manifests(
    photos: Table, disk: Disk, settings: Settings
) -> None:
    snapshot = photos.current_snapshot()
    assert snapshot
    paths = [Path(one.manifest_path.removeprefix("file://")) for one in snapshot.manifests(photos.io)]
    written = sum(path.stat().st_size for path in paths)
    metadata = Path(photos.metadata_location.removeprefix("file://")).stat().st_size
    assert written > 0
    disk.free = (4 << 20) + 2 * (1000 + metadata + 2 * written)
    room.check([photos], 1000, settings)
    disk.free -= 1
    with pytest.raises(StoreRefused, match=r" MB free, and a publication may take 4\.\d MB: free some space there"):
        room.check([photos], 1000, settings)


def test_a_table_without_a_snapshot_needs_its_metadata_alone(disk: Disk, settings: Settings) -> None:
    table = tables.open_table(tables.open_catalog(settings), settings, "runs")
    metadata = Path(table.metadata_location.removeprefix("file://")).stat().st_size
    disk.free = (4 << 20) + 2 * metadata
    room.check([table], 0, settings)
    disk.free -= 1
    with pytest.raises(StoreRefused):
        room.check([table], 0, settings)


def test_a_file_system_that_counts_its_files_must_hold_some_more(disk: Disk, settings: Settings) -> None:
    disk.files_left = room.FILES
    room.check([], 0, settings)
    disk.files_left -= 1
    with pytest.raises(StoreRefused, match=r"can hold 63 more files, and a publication writes up to 64: remove some"):
        room.check([], 0, settings)
    disk.files = disk.files_left = 0  # as one says that counts none
    room.check([], 0, settings)


def test_the_disks_are_those_of_the_lake_and_of_a_catalog_elsewhere(disk: Disk, settings: Settings) -> None:
    elsewhere = dataclasses.replace(settings, lake="file:///the/lake", catalog="sqlite:////other/catalog.db")
    room.check([], 0, elsewhere)
    assert disk.asked == [Path("/the/lake"), Path("/other")]
    disk.asked.clear()
    room.check([], 0, dataclasses.replace(elsewhere, lake="s3://bucket/lake"))
    assert disk.asked == [Path("/other")]
    disk.asked.clear()
    room.check([], 0, dataclasses.replace(elsewhere, catalog="postgresql://host/catalog"))
    assert disk.asked == [Path("/the/lake")]
