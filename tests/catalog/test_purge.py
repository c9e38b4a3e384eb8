"""Rows that leave a table's files, snapshots and folder; and the files without them, which stay."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import tenacity
from pyiceberg.table import Table
from pyiceberg.types import StringType

from imagefeatures import schemas, storage
from imagefeatures.catalog import purge, tables
from imagefeatures.catalog.purge import Found, Purged
from imagefeatures.errors import CatalogRefused
from imagefeatures.forget.wanted import Wanted
from imagefeatures.settings import Settings
from support.growing import folder_of, read_whole_past, unnamed_files
from support.publishing import DAY, delete_rows
from support.relocating import path_of

OTHER_DAY = "2026-11-03"
PERSON = "person"
WANTED = Wanted(frozenset({PERSON}))


@pytest.fixture
def photos(settings: Settings) -> Table:
    return tables.open_table(tables.open_catalog(settings), settings, "photos")


def file_of(table: Table, run_id: str, images: Sequence[str], day: str = DAY, **options: object) -> str:
    """A features file of a run with these images, where featurize would write it, in row groups of two."""
    row = {
        "partition_key": day, "label": "red", "width": 3, "height": 2, "mode": "RGB", "size": 9, "etag": None,
        "model": "mobilenet_v2", "fingerprint": "f", "run_id": run_id,
    }  # fmt: skip
    rows = [
        row | {"image_id": image, "uri": f"s3://b/{at}", "features": [0.5 + at] * 64} for at, image in enumerate(images)
    ]
    path = folder_of(table) / "data" / f"partition_key={day}" / f"{run_id}-shard-00000-ab12cd34.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    written: dict[str, object] = {"row_group_size": 2, **options}
    pq.write_table(pa.Table.from_pylist(rows, schema=schemas.FEATURES), path, **written)
    return f"file://{path}"


def publish(table: Table, run_id: str, images: Sequence[str], day: str = DAY) -> str:
    uri = file_of(table, run_id, images, day)
    tables.replace_files(table, day, [uri], run_id)
    return uri


def purged(table: Table, settings: Settings, wanted: Wanted = WANTED) -> Purged:
    return purge.purge(table, settings.lake, wanted, purge.find(table, settings.lake, wanted))


def images(table: Table) -> list[str]:
    return sorted(table.refresh().scan(selected_fields=("image_id",)).to_arrow()["image_id"].to_pylist())


def check_gone(table: Table, *uris: str) -> None:
    """Neither the files are there, nor a manifest that names one of them, nor a file that nothing names."""
    assert not any(path_of(uri).exists() for uri in uris)
    folder = folder_of(table)
    for snapshot in table.refresh().snapshots():
        for manifest in snapshot.manifests(table.io):
            named = {one.data_file.file_path for one in manifest.fetch_manifest_entry(table.io, discard_deleted=False)}
            assert named.isdisjoint(uris)
    assert unnamed_files(table) == set()
    assert not any(PERSON.encode() in path.read_bytes() for path in folder.rglob("*.avro"))
    assert read_whole_past(table)


def test_rows_leave_every_snapshot_and_files_without_them_stay(photos: Table, settings: Settings) -> None:
    kept = publish(photos, "kept", ["a", "b"], OTHER_DAY)
    untouched = photos.metadata.current_snapshot_id
    first = publish(photos, "first", [PERSON, "c"])
    alone = [publish(photos, "alone", [PERSON], day) for day in ("2026-11-04", "2026-11-05")]
    second = publish(photos, "second", ["d", "e", PERSON, "f", PERSON])
    for uri in (second, kept):
        path_of(uri).with_name(f".{path_of(uri).name}.crc").write_bytes(b"crc")
    count, before = len(photos.metadata.snapshots), path_of(kept).stat().st_mtime_ns
    assert purged(photos, settings) == Purged(rows=4, rewritten=1, deleted=4, snapshots=count - 1)
    assert images(photos) == ["a", "b", "d", "e", "f"]
    (checksums,) = folder_of(photos).rglob("*.crc")
    assert checksums.name == f".{path_of(kept).name}.crc"
    checksums.unlink()
    check_gone(photos, first, second, *alone)
    assert untouched in {snapshot.snapshot_id for snapshot in photos.metadata.snapshots}
    (anew,) = (uri for uri in files(photos) if uri != kept)
    assert re.fullmatch(r"second-shard-00000-[0-9a-f]{8}\.parquet", path_of(anew).name) and anew != second
    assert path_of(kept).stat().st_mtime_ns == before
    again = purge.find(photos, settings.lake, WANTED)
    assert again == Found()
    version = photos.metadata_location
    assert purge.purge(photos, settings.lake, WANTED, again) == Purged(0, 0, 0, 0) == Purged()
    assert photos.refresh().metadata_location == version


def files(table: Table) -> set[str]:
    return {task.file.file_path for task in table.refresh().scan().plan_files()}


def test_a_file_is_written_anew_as_its_kind_is(photos: Table, settings: Settings) -> None:
    old = publish(photos, "first", ["a", "b", PERSON, "c"])
    vectors = pq.ParquetFile(path_of(old)).read()["features"].to_pylist()
    purged(photos, settings)
    (uri,) = files(photos)
    found = pq.ParquetFile(path_of(uri))
    assert found.schema_arrow.equals(schemas.FEATURES, check_metadata=True)
    assert found.metadata.row_group(0).column(0).compression == "ZSTD"
    assert found.read()["image_id"].to_pylist() == ["a", "b", "c"]
    assert found.read()["features"].to_pylist() == [vectors[at] for at in (0, 1, 3)]


def test_a_file_of_no_snapshot_goes_without_a_commit(photos: Table, settings: Settings) -> None:
    publish(photos, "first", ["a"])
    left, version = file_of(photos, "left", [PERSON]), photos.metadata_location
    assert purged(photos, settings) == Purged(rows=0, rewritten=0, deleted=1, snapshots=0)
    assert photos.refresh().metadata_location == version
    assert not path_of(left).exists()


def test_a_current_snapshot_that_names_none_of_them_stays_the_current_one(photos: Table, settings: Settings) -> None:
    first = publish(photos, "first", [PERSON])
    publish(photos, "second", ["a"])
    publish(photos, "third", ["b"], OTHER_DAY)
    current = photos.metadata.current_snapshot_id
    result = purged(photos, settings)
    assert (result.rows, result.rewritten, result.deleted) == (0, 0, 1)
    assert photos.refresh().metadata.current_snapshot_id == current
    check_gone(photos, first)


def test_a_snapshot_that_only_says_what_it_has_deleted_goes_too(photos: Table, settings: Settings) -> None:
    publish(photos, "kept", ["a"], OTHER_DAY)
    first = publish(photos, "first", [PERSON])
    tables.replace_files(photos, DAY, [], "withdrawal")
    assert purged(photos, settings).deleted == 1
    assert images(photos) == ["a"]
    check_gone(photos, first)


def test_rows_of_a_table_without_a_current_snapshot_leave_its_past(photos: Table, settings: Settings) -> None:
    publish(photos, "first", [PERSON, "a"])
    file = path_of(photos.metadata_location)
    content = json.loads(file.read_text()) | {"current-snapshot-id": None, "refs": {}, "snapshot-log": []}
    file.write_text(json.dumps(content))
    table = tables.open_catalog(settings).load_table("features.photos")
    assert table.current_snapshot() is None
    assert purged(table, settings) == Purged(rows=0, rewritten=0, deleted=1, snapshots=1)
    assert table.refresh().metadata.snapshots == []


def test_a_table_that_others_have_changed_since_it_was_opened_is_taken_as_it_is(
    photos: Table, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenacity.nap.time, "sleep", lambda _: pytest.fail("a commit was lost: nothing was looked at"))
    stale = tables.open_catalog(settings).load_table("features.photos")
    publish(photos, "first", [PERSON, "a"])
    assert purged(stale, settings).rows == 1
    assert images(photos) == ["a"]


def test_a_table_in_which_another_program_has_deleted_rows_is_refused(photos: Table, settings: Settings) -> None:
    uri = publish(photos, "first", [PERSON, "a"])
    delete_rows(photos, uri, [1])
    with pytest.raises(CatalogRefused, match=r"^features\.photos: another program has deleted single rows of it; let "):
        purged(photos, settings)
    assert path_of(uri).exists()


def test_a_damaged_page_is_not_written_anew(photos: Table, settings: Settings) -> None:
    options = {"compression": "none", "write_page_checksum": True, "use_dictionary": False}
    uri = file_of(photos, "first", [PERSON, "a"], **options)
    tables.replace_files(photos, DAY, [uri], "first")
    data = bytearray(path_of(uri).read_bytes())
    at = data.index(bytes.fromhex("0000c03f") * 8)  # 1.5: of the second vector
    data[at + 2] ^= 1
    path_of(uri).write_bytes(data)
    assert purge.find(photos, settings.lake, WANTED).files
    with pytest.raises(CatalogRefused, match=r"^features\.photos: a file of it cannot be read \("):
        purged(photos, settings)
    assert path_of(uri).exists()


def test_files_of_which_it_cannot_be_told_are_named_and_those_that_are_gone_are_not(
    photos: Table, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = publish(photos, "first", [PERSON])
    publish(photos, "other", ["a"], OTHER_DAY)
    data = folder_of(photos) / "data"
    pq.write_table(pa.table({"other": [1]}), data / "foreign.parquet")
    (data / "cut.parquet").write_bytes(b"PAR1 cut")
    (data / "empty.parquet").write_bytes(b"")
    (data / ".cut.parquet.crc").write_bytes(b"crc")
    listing = storage.list_objects

    def with_one_that_goes(uri: str) -> list[storage.StoredObject]:
        return [storage.StoredObject(f"file://{data}/gone.parquet", 9, ""), *listing(uri)]

    monkeypatch.setattr(storage, "list_objects", with_one_that_goes)
    found = purge.find(photos, settings.lake, WANTED)
    assert found.files == {held: path_of(held).stat().st_size}
    assert sorted(found.unreadable) == [f"file://{data}/cut.parquet", f"file://{data}/foreign.parquet"]


def test_the_wanted_rows_of_files_are_read_in_the_columns_that_are_asked_for(photos: Table, tmp_path: Path) -> None:
    held, other = file_of(photos, "first", ["a", PERSON, PERSON]), file_of(photos, "other", ["a"])
    sizes = {uri: path_of(uri).stat().st_size for uri in (held, other)}
    found = Found({f"file://{tmp_path}/gone.parquet": 9, **sizes})
    rows = pa.concat_tables(found.rows(WANTED, ("uri", "nothing")))
    assert rows.to_pydict() == {"uri": ["s3://b/1", "s3://b/2"], "image_id": [PERSON, PERSON]}
    assert list(found.rows(Wanted(frozenset({hashlib.sha256(b"x").hexdigest()})), ("uri",))) == []


def further(table: Table) -> None:
    """Somebody adds a column, and writes the rows anew with values of it: files with numbers of columns in them."""
    with table.update_schema() as change:
        change.add_column("fold", StringType())
    rows = table.scan().to_arrow()
    values = pa.array([f"fold {row}" for row in range(rows.num_rows)])
    table.overwrite(rows.set_column(rows.schema.get_field_index("fold"), "fold", values))


def rename(table: Table, old: str, new: str) -> None:
    with table.update_schema() as change:
        change.rename_column(old, new)


def drop(table: Table, column: str) -> None:
    with table.update_schema() as change:
        change.delete_column(column)


def swap_names(table: Table) -> None:
    for old, new in (("etag", "other"), ("mode", "etag"), ("other", "mode")):
        rename(table, old, new)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: rename(table, "etag", "tag"),
        lambda table: drop(table, "etag"),
        lambda table: (further(table), rename(table, "fold", "split")),
        lambda table: (further(table), drop(table, "fold")),
        lambda table: (further(table), swap_names(table)),
        lambda table: (rename(table, "etag", "tag"), further(table), rename(table, "tag", "of_store")),
        lambda table: (drop(table, "etag"), further(table)),
    ],
    ids=["renamed", "dropped", "added, renamed", "added, dropped", "names swapped", "renamed twice", "dropped, added"],
)
def test_columns_that_somebody_has_added_renamed_or_dropped_are_as_the_table_has_them(
    change: Callable[[Table], object], photos: Table, settings: Settings
) -> None:
    publish(photos, "first", ["a", PERSON, "b"])
    publish(photos, "kept", ["c"], OTHER_DAY)
    change(photos)
    before = photos.refresh().scan().to_arrow().sort_by("image_id")
    assert purged(photos, settings).rows >= 1
    after = photos.refresh().scan().to_arrow().sort_by("image_id")
    assert after.equals(before.filter(pc.not_equal(before["image_id"], PERSON)))
    assert purge.find(photos, settings.lake, WANTED) == Found()


def test_a_table_that_is_partitioned_by_more_is_refused_where_files_do_not_fit_into_that(
    photos: Table, settings: Settings
) -> None:
    path = path_of(publish(photos, "first", [PERSON, "a", "b"]))
    with photos.update_spec() as spec:
        spec.add_identity("run_id").add_identity("image_id")
    said = (
        r"features\.photos: another program has partitioned it by run_id, image_id too, .* DROP PARTITION FIELD run_id$"
    )
    with pytest.raises(CatalogRefused, match=said):
        purged(photos, settings)
    assert list(path.parent.glob("*.parquet")) == [path], "each try would leave one more"
    with photos.update_spec() as spec:
        spec.remove_field("image_id")
    assert purged(photos, settings).rows == 1
    assert images(photos) == ["a", "b"]
