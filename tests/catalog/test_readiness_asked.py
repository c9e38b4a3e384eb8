"""What plan asks a catalog and a lake before a run: room for all its tables, and one write that is taken back."""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from sqlalchemy import event

from imagefeatures import storage
from imagefeatures.catalog import readiness, room, tables
from imagefeatures.catalog.sql_catalog import LakeSqlCatalog
from imagefeatures.errors import StoreRefused
from imagefeatures.settings import Settings
from support.growing import run_file
from support.publishing import DAY
from support.shared import BUCKET


@pytest.fixture
def catalog(settings: Settings) -> Catalog:
    """With the tables of a run, and rows in one of them."""
    opened = tables.open_catalog(settings)
    for name in ("quarantine", "runs", "photos"):
        tables.open_table(opened, settings, name)
    tables.replace_files(opened.load_table("features.photos"), DAY, [run_file(settings, "one")], "one")
    return opened


def test_there_must_be_room_for_all_tables_of_the_run_to_the_byte(
    catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_tables = [catalog.load_table(f"features.{name}") for name in ("quarantine", "photos", "runs")]
    needed = room.MARGIN + 2 * sum(map(room._rewritten, of_tables))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: usage(10**9, 0, needed))
    readiness.check(catalog, settings, ["photos"])
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: usage(10**9, 0, needed - 1))
    with pytest.raises(StoreRefused, match="free some space there, then try again"):
        readiness.check(catalog, settings, ["photos"])


def test_a_row_of_its_own_is_written_changed_and_taken_back(catalog: Catalog, settings: Settings) -> None:
    assert isinstance(catalog, LakeSqlCatalog)
    seen: list[tuple[str, int]] = []

    def note(_: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if (verb := statement.split()[0]) in ("INSERT", "UPDATE", "DELETE"):
            seen.append((verb, cursor.rowcount))

    event.listen(catalog.engine, "after_cursor_execute", note)
    readiness.check(catalog, settings, ["photos"])
    assert seen == [("INSERT", 1), ("UPDATE", 1)]
    listed = [name for _, name in catalog.list_tables("features")]
    assert sorted(listed) == ["photos", "quarantine", "runs"]


def test_a_store_gets_an_empty_object_that_goes_again(
    s3: object, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, bytes]] = []
    write = storage.write

    def noted(uri: str, data: bytes) -> object:
        written.append((uri, data))
        return write(uri, data)

    monkeypatch.setattr(storage, "write", noted)
    remote = dataclasses.replace(settings, lake=f"s3://{BUCKET}/lake")
    readiness._check_lake(remote, ["photos"])
    ((uri, data),) = written
    assert uri.startswith(f"s3://{BUCKET}/lake/warehouse/probe-")
    assert data == b""
    assert list(storage.list_objects(remote.lake)) == []


def test_folders_that_do_not_exist_yet_are_not_made(settings: Settings) -> None:
    readiness._check_lake(settings, ["photos"])
    assert list(Path(settings.lake.removeprefix("file://")).iterdir()) == []
