"""What of a table goes along to a lake's new place: snapshots, logs, tags and properties; and what stays behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.table import Table

from imagefeatures.catalog import relocation, repair, retention, tables
from imagefeatures.catalog.relocation import ForeignTable, Move
from imagefeatures.errors import CatalogError, CatalogRefused
from imagefeatures.settings import Settings
from support.canary import RestAnswers, rest_catalog
from support.growing import named_files, read_whole_past, run_file
from support.publishing import DAY, delete_rows
from support.relocating import path_of

Copied = Callable[[], Settings]


@pytest.fixture
def photos(settings: Settings) -> Table:
    """features.photos with two partitions, published one after the other, and the first one then anew."""
    table = tables.open_table(tables.open_catalog(settings), settings, "photos")
    for run_id, day in (("first", DAY), ("other", "2026-11-03"), ("later", DAY)):
        tables.replace_files(table, day, [run_file(settings, run_id, day)], run_id)
    return table


@pytest.fixture
def copied(settings: Settings, tmp_path: Path) -> Copied:
    """copied(): the settings of the lake in a new place, with a copy of everything."""

    def copy() -> Settings:
        shutil.copytree(path_of(settings.lake), tmp_path / "new")
        lake = f"file://{tmp_path}/new"
        return replace(settings, lake=lake, catalog=f"sqlite:///{tmp_path}/new/catalog.db")

    return copy


def there(uri: str, old: Settings, new: Settings) -> Path:
    """A file of the old lake in the new one."""
    return path_of(uri.replace(old.lake, new.lake))


def examined(new: Settings) -> ForeignTable:
    (found,) = relocation.examine(tables.open_catalog(new))
    return found


def relocated(new: Settings) -> Table:
    relocation.relocate(tables.open_catalog(new), [examined(new)])
    return tables.open_catalog(new).load_table("features.photos")


def edited(table: Table, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what the metadata file of a table holds."""
    file = path_of(table.metadata_location)
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_a_table_is_found_with_its_snapshots_and_the_files_of_the_current_one(
    settings: Settings, photos: Table, copied: Copied
) -> None:
    new = copied()
    found = examined(new)
    assert (found.full_name, found.uri) == ("features.photos", photos.metadata_location)
    assert found.move == Move(settings.lake, new.lake)
    assert found.snapshots == tuple(photos.metadata.snapshots)
    assert (found.files, found.dropped, found.faults) == (2, 0, ())
    table = relocated(new)
    assert read_whole_past(table) == read_whole_past(photos)
    assert all(name.startswith(f"{path_of(new.lake)}/") for name in named_files(table))
    assert list(relocation.examine(tables.open_catalog(new))) == []


def test_a_data_file_that_is_not_there_is_a_fault(settings: Settings, photos: Table, copied: Copied) -> None:
    (file, _) = sorted(task.file.file_path for task in photos.scan().plan_files())
    new = copied()
    there(file, settings, new).unlink()
    found = examined(new)
    assert (found.files, found.faults) == (2, (f"file://{there(file, settings, new)} is missing",))


def test_a_current_snapshot_with_deleted_rows_is_a_fault(settings: Settings, photos: Table, copied: Copied) -> None:
    (file, _) = sorted(task.file.file_path for task in photos.scan().plan_files())
    delete_rows(photos, file, [0])
    found = examined(copied())
    said = "another program has deleted single rows of it; let that program rewrite its files first"
    assert (found.dropped, found.faults) == (1, (said,))


def test_a_table_without_rows_goes_along(settings: Settings, copied: Copied) -> None:
    tables.open_table(tables.open_catalog(settings), settings, "photos")
    new = copied()
    found = examined(new)
    assert (found.snapshots, found.files, found.dropped, found.faults) == ((), 0, 0, ())
    assert relocated(new).location() == f"{new.lake}/warehouse/features/photos"


def test_metadata_that_cannot_be_read_is_a_fault(settings: Settings, photos: Table, copied: Copied) -> None:
    new = copied()
    file = there(photos.metadata_location, settings, new)
    file.write_bytes(b"")
    found = examined(new)
    (fault,) = found.faults
    assert fault.startswith(f"file://{file} cannot be read (0 bytes, ")
    assert (found.metadata, found.snapshots, found.files, found.dropped) == (None, (), 0, 0)
    with pytest.raises(CatalogRefused, match=r"^features\.photos: file://.*/new/warehouse/.* cannot be read \(0 bytes"):
        relocation.relocate(tables.open_catalog(new), [found])


def test_a_current_snapshot_that_cannot_be_read_is_a_fault(settings: Settings, photos: Table, copied: Copied) -> None:
    new = copied()
    current = photos.current_snapshot()
    assert current
    there(current.manifest_list, settings, new).unlink()
    found = examined(new)
    (fault,) = found.faults
    assert fault.startswith("its current snapshot cannot be read here (")
    assert (found.files, found.dropped) == (0, 1)


def test_what_an_older_snapshot_that_stays_behind_is_named_by_stays_too(
    settings: Settings, photos: Table, copied: Copied
) -> None:
    snapshots = photos.metadata.snapshots
    photos.manage_snapshots().create_tag(snapshots[0].snapshot_id, "old").create_tag(
        snapshots[1].snapshot_id, "kept"
    ).commit()
    of = [{one.manifest_path for one in snapshot.manifests(photos.io)} for snapshot in snapshots]
    (lost,) = of[0] - of[-1]
    staying = [snapshot.snapshot_id for snapshot, named in zip(snapshots, of, strict=True) if lost in named]
    kept = [snapshot.snapshot_id for snapshot in snapshots if snapshot.snapshot_id not in staying]
    new = copied()
    there(lost, settings, new).unlink()
    found = examined(new)
    assert (found.dropped, found.faults) == (len(staying), ())
    metadata = relocated(new).metadata
    assert [snapshot.snapshot_id for snapshot in metadata.snapshots] == kept != []
    assert [entry.snapshot_id for entry in metadata.snapshot_log] == kept
    wanted = {name for name, ref in photos.metadata.refs.items() if ref.snapshot_id in kept}
    assert "old" not in wanted
    assert set(metadata.refs) == wanted


def test_an_older_snapshot_with_deleted_rows_stays_behind(settings: Settings, photos: Table, copied: Copied) -> None:
    before = photos.metadata.current_snapshot_id
    assert before
    (file, _) = sorted(task.file.file_path for task in photos.scan().plan_files())
    delete_rows(photos, file, [0])
    with_deletes = photos.refresh().metadata.current_snapshot_id
    photos.manage_snapshots().set_current_snapshot(snapshot_id=before).commit()
    found = examined(copied())
    assert (found.files, found.dropped, found.faults) == (2, 1, ())
    assert with_deletes not in {snapshot.snapshot_id for snapshot in found.snapshots}


def test_properties_that_name_the_old_place_name_the_new_one_and_what_was_still_to_remove_there_is_forgotten(
    settings: Settings, photos: Table, copied: Copied
) -> None:
    inside, outside = f"{settings.lake}/warehouse/features/photos/mine", "s3://bucket/mine"
    with photos.transaction() as change:
        change.set_properties({"mine": inside, "others": outside, retention.PENDING: json.dumps([inside])})
    new = copied()
    metadata = relocated(new).metadata
    expected = photos.properties | {"mine": f"{new.lake}/warehouse/features/photos/mine"}
    assert metadata.properties == {name: value for name, value in expected.items() if name != retention.PENDING}
    assert metadata.metadata_log == []


def test_statistics_of_the_old_place_stay_there(settings: Settings, photos: Table, copied: Copied) -> None:
    snapshot = photos.metadata.current_snapshot_id
    of_snapshot = {"snapshot-id": snapshot, "statistics-path": f"{settings.lake}/a.puffin", "file-size-in-bytes": 9}
    whole = of_snapshot | {"file-footer-size-in-bytes": 3, "blob-metadata": []}
    edited(photos, lambda content: content.update({"statistics": [whole], "partition-statistics": [of_snapshot]}))
    new = copied()
    found = examined(new).metadata
    assert found and len(found.statistics) == len(found.partition_statistics) == 1
    metadata = relocated(new).metadata
    assert (metadata.statistics, metadata.partition_statistics) == ([], [])


def test_the_metadata_in_the_new_place_follows_every_file_that_lies_there(
    settings: Settings, photos: Table, copied: Copied
) -> None:
    new = copied()
    place = there(photos.metadata_location, settings, new)
    assert repair.version(place.name) == 3
    place.with_name("00007-of-a-commit-that-was-never-made.metadata.json").write_bytes(b"")
    assert repair.version(relocated(new).metadata_location) == 8


def test_a_table_whose_metadata_lies_in_no_lake_is_refused(settings: Settings, photos: Table, copied: Copied) -> None:
    new, uri = copied(), "file:///elsewhere/00001-a.metadata.json"
    catalog = tables.open_catalog(new)
    with repair.Session(catalog.engine) as session:
        session.execute(repair.update(repair.IcebergTables).values(metadata_location=uri))
        session.commit()
    with pytest.raises(CatalogRefused, match=rf"^features\.photos: {uri} is not the metadata of a table in a lake$"):
        list(relocation.examine(catalog))


def test_a_rest_catalog_is_refused_whatever_was_found(settings: Settings) -> None:
    with rest_catalog(RestAnswers()) as address:
        catalog = tables.open_catalog(replace(settings, catalog=address))
        with pytest.raises(CatalogRefused, match=r"^a REST catalog names its tables' files itself$"):
            relocation.relocate(catalog, [])
        with pytest.raises(CatalogRefused, match=r"use the server's own means to move them$"):
            list(relocation.examine(catalog))


def test_a_table_to_which_a_run_has_committed_meanwhile_stays_as_it_is(photos: Table, copied: Copied) -> None:
    new = copied()
    found = replace(examined(new), uri=f"{new.lake}/warehouse/features/photos/metadata/00002-a.metadata.json")
    with pytest.raises(CatalogError, match=r"^features\.photos: a run has committed meanwhile; look again$"):
        relocation.relocate(tables.open_catalog(new), [found])
    assert examined(new).uri == photos.metadata_location
