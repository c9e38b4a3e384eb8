"""The files of expired snapshots are removed, and no other file, whatever happens meanwhile and whatever is written."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table

from imagefeatures import storage
from imagefeatures.catalog import retention, tables
from imagefeatures.settings import Settings
from support.growing import (
    FIRST_GROUP,
    Publish,
    folder_of,
    named_files,
    read_whole_past,
    run_file,
    unnamed_files,
)
from support.publishing import DAY


@pytest.mark.parametrize("deletions", range(8))
def test_a_clean_up_that_dies_harms_nothing_and_is_made_up_for(
    photos: Table, publish: Publish, few: Settings, monkeypatch: pytest.MonkeyPatch, deletions: int
) -> None:
    for number in range(FIRST_GROUP):
        publish(f"run-{number}")
    assert retention.PENDING in photos.properties
    delete, left = PyArrowFileIO.delete, iter(range(deletions))

    def die(io: PyArrowFileIO, location: object) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        delete(io, location)

    whole = len(unnamed_files(photos))
    with monkeypatch.context() as patch:
        patch.setattr(PyArrowFileIO, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            retention.remove_expired(photos, few.lake)
    assert len(unnamed_files(photos)) == whole - deletions > 0
    assert read_whole_past(photos)[-1] == 3
    publish("next")
    retention.remove_expired(photos, few.lake)
    assert unnamed_files(photos) == set()


def test_files_of_a_run_that_can_still_be_published_stay(photos: Table, publish: Publish, few: Settings) -> None:
    """It was published, replaced, and is about to be published once more: a retry of a killed register."""
    waiting = f"{few.lake}/staging/photos/{DAY}/run-0/run.json"
    storage.write(waiting, b"{}")
    for number in range(10):
        publish(f"run-{number}")
        retention.remove_expired(photos, few.lake)
    (left,) = unnamed_files(photos)
    assert "run-0-shard-00000" in left
    tables.replace_files(photos, DAY, [f"file://{left}"], "run-0")
    assert photos.scan().to_arrow()["run_id"].unique().to_pylist() == ["run-0"]


def test_files_of_a_run_that_is_published_during_the_clean_up_stay(
    photos: Table, publish: Publish, few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = f"{few.lake}/staging/photos/{DAY}/run-0"
    storage.write(f"{waiting}/run.json", b"{}")
    for number in range(FIRST_GROUP):
        publish(f"run-{number}")
    again = iter([True])
    may_be = retention._may_be_published

    def published_meanwhile(files: Collection[str], lake: str) -> set[str]:
        for _ in again:  # once, and before the clean-up looks at the staging folder
            other = tables.open_catalog(few).load_table("features.photos")
            tables.replace_files(other, DAY, [named(photos, "run-0")], "run-0")
            storage.delete_folder(waiting)
        return may_be(files, lake)

    monkeypatch.setattr(retention, "_may_be_published", published_meanwhile)
    retention.remove_expired(photos, few.lake)
    assert photos.refresh().scan().to_arrow()["run_id"].unique().to_pylist() == ["run-0"]
    read_whole_past(photos)


def named(table: Table, run_id: str) -> str:
    (path,) = folder_of(table).glob(f"data/*/{run_id}-shard-*.parquet")
    return f"file://{path}"


def test_files_outside_the_tables_folder_are_not_the_tables_to_delete(
    photos: Table, few: Settings, tmp_path: Path
) -> None:
    inside = Path(run_file(few, "elsewhere").removeprefix("file://"))
    elsewhere = inside.rename(tmp_path / inside.name)
    tables.replace_files(photos, DAY, [f"file://{elsewhere}"], "elsewhere")
    for number in range(12):
        tables.replace_files(photos, DAY, [run_file(few, f"run-{number}")], f"run-{number}")
        retention.remove_expired(photos, few.lake)
    assert str(elsewhere) not in named_files(photos)
    assert elsewhere.exists()


def test_metadata_that_somebody_has_altered_deletes_nothing_elsewhere(
    photos: Table, publish: Publish, few: Settings, tmp_path: Path
) -> None:
    for number in range(FIRST_GROUP):
        publish(f"run-{number}")
    pending = json.loads(photos.properties[retention.PENDING])
    outside = tmp_path / "outside.avro"
    outside.write_bytes(Path(pending[0].removeprefix("file://")).read_bytes())
    climbing = f"{few.lake}/warehouse/features/photos/data/../../../../../{outside.name}"
    assert photos.io.new_input(climbing).exists()
    with photos.transaction() as change:
        change.set_properties({retention.PENDING: json.dumps([*pending, f"file://{outside}", climbing])})
    assert retention.remove_expired(photos, few.lake) == 8  # what has expired
    assert outside.exists()


def test_two_clean_ups_at_once_are_as_one(photos: Table, publish: Publish, few: Settings) -> None:
    for number in range(FIRST_GROUP):
        publish(f"run-{number}")
    other = tables.open_catalog(few).load_table("features.photos")
    assert retention.remove_expired(photos, few.lake) > 0
    assert retention.remove_expired(other, few.lake) == 0
    assert unnamed_files(photos) == set()
    read_whole_past(photos)


def test_the_pending_property_names_manifest_lists_alone(photos: Table, publish: Publish) -> None:
    for number in range(FIRST_GROUP):
        publish(f"run-{number}")
    pending = json.loads(photos.properties[retention.PENDING])
    assert pending
    assert all("/metadata/snap-" in uri for uri in pending)
