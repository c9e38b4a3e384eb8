"""Which tables have rows of images, how their files are written, and the row of a run that counts them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tenacity
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from imagefeatures import names, schemas
from imagefeatures.catalog import learning, pixel_tables, purge, retention, tables
from imagefeatures.pixels import PixelFormat
from imagefeatures.settings import Settings
from imagefeatures.storage.objects import StoredObject
from support.growing import rejected_row
from support.measured import clouds, publish
from support.relocating import path_of

DAY = "2026-11-02"
ROWS = pa.schema({"dataset": pa.string(), "model_id": pa.string()})


def rejected(count: int, run_id: str) -> pa.Table:
    rows = [rejected_row("photos", run_id, DAY).to_pylist()[0] | {"uri": f"s3://b/x/{at}"} for at in range(count)]
    return pa.Table.from_pylist(rows, schema=schemas.QUARANTINE)


def test_tables_of_images_are_those_of_datasets_predictions_and_the_quarantine(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # as an earlier version had it
        patch.setattr(names, "SHARED", (names.QUARANTINE, names.RUNS))
        patch.delitem(schemas.TABLES, names.STATISTICS)
        publish(settings, DAY, clouds(0, 3), name=names.STATISTICS)
    publish(settings, DAY, clouds(0, 3))
    catalog = tables.open_catalog(settings)
    for name in (names.QUARANTINE, names.WITHDRAWALS, names.FORGOTTEN):
        tables.open_table(catalog, settings, name)
    evaluations, _ = (
        learning.open_table(catalog, settings, name, ROWS) for name in (names.EVALUATIONS, "photos_predictions")
    )
    catalog.create_table(("features", "mine"), schema=ROWS)
    path_of(evaluations.metadata_location).unlink()  # which is not looked at
    found = purge.holding_tables(tables.open_catalog(settings))
    assert [".".join(table.name()) for table in found] == [
        "features.photos", "features.quarantine", "features.statistics", "learning.photos_predictions",
    ]  # fmt: skip


def test_nothing_is_done_unless_it_is_said() -> None:
    assert purge.Purged() == purge.Purged(rows=0, rewritten=0, deleted=0, snapshots=0)


def test_the_tables_of_this_package_without_images() -> None:
    of_runs = {("features", name) for name in ("runs", "withdrawals", "forgotten", "statistics")}
    assert of_runs | {("learning", "evaluations")} == purge.WITHOUT_IMAGES


@pytest.mark.parametrize(("name", "size", "may"), [("a.parquet", 1, True), ("a.parquet", 0, False),
                                                   (".a.parquet.crc", 9, False)])  # fmt: skip
def test_a_file_without_bytes_and_checksums_hold_no_rows(name: str, size: int, may: bool) -> None:
    assert purge.may_hold_rows(StoredObject(f"file:///lake/data/{name}", size, "")) is may


def a_table(namespace: str, name: str, *columns: str, **properties: str) -> Table:
    schema = SimpleNamespace(column_names=columns)
    return cast("Table", SimpleNamespace(name=lambda: (namespace, name), schema=lambda: schema, properties=properties))


def test_a_file_is_written_as_its_table_has_it() -> None:
    kind = PixelFormat((4, 5, 3))
    of_pixels = a_table("features", "photos_pixels", "pixels", **{pixel_tables.KIND: kind.as_text()})
    assert purge._options(a_table("features", "photos", "features")) == schemas.FEATURES_FILE
    assert purge._options(a_table("features", "statistics", "features")) == schemas.FEATURES_FILE
    assert purge._options(of_pixels) == schemas.pixels_file(60) != schemas.FEATURES_FILE
    plain = {"compression": "zstd"}
    assert purge._options(a_table("features", "quarantine", "reason")) == plain
    assert purge._options(a_table("learning", "photos_predictions", "label")) == plain
    assert purge._options(a_table("learning", "statistics", "features")) == plain


class Counted:
    """A partition of six images with a copy of each, three of which and one rejected object have left since."""

    def __init__(self, settings: Settings, **of_run: Any) -> None:
        self.settings = settings
        vectors = clouds(0, 6)
        given = {"quarantined": 2, "reasons": [("CORRUPT", 2)], "copies": [vectors], **of_run}
        self.run_id = publish(settings, DAY, vectors, **given)
        self.runs, self.quarantine, self.photos = self.opened()
        self._count_copies()
        tables.replace_rows(self.quarantine, DAY, "photos", rejected(2, self.run_id), self.run_id)

    def opened(self) -> list[Table]:
        catalog: Catalog = tables.open_catalog(self.settings)
        return [tables.open_table(catalog, self.settings, name) for name in (names.RUNS, names.QUARANTINE, "photos")]

    def _count_copies(self) -> None:
        row = self.row() | {"copies": 1}
        rows = pa.Table.from_pylist([row | {"run_id": "x"}], schema=schemas.RUNS)
        tables.replace_rows(self.runs, DAY, "photos", rows, "x")

    def row(self) -> dict[str, Any]:
        (row,) = self.runs.refresh().scan().to_arrow().to_pylist()
        return dict(row)

    def recount(self) -> bool:
        return purge.recount(self.photos, self.runs, self.quarantine, self.row())


@pytest.mark.parametrize(
    ("of_run", "after"),
    [
        ({"reused": 5, "models_reused": [("m", 5), ("n", 2)]}, {"reused": 3, "models_reused": [("m", 3), ("n", 2)]}),
        ({"reused": 2, "models_reused": None}, {"reused": 2, "models_reused": None}),
        ({"reused": None, "models_reused": None}, {"reused": None, "models_reused": None}),
    ],
    ids=["more", "fewer", "unknown"],
)
def test_a_run_counts_the_rows_that_its_partition_still_has(
    settings: Settings, of_run: dict[str, Any], after: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenacity.nap.time, "sleep", lambda _: pytest.fail("a commit was lost: nothing was looked at"))
    counted = Counted(settings, **of_run)
    before = counted.row()
    assert not counted.recount()
    assert counted.row() == before
    runs, quarantine, photos = counted.opened()  # others change the tables
    tables.replace_rows(runs, "other", "photos", runs_row_of(before, "other"), "other")
    tables.replace_rows(quarantine, DAY, "photos", rejected(1, "later"), "later")
    tables.replace_files(photos, DAY, [half_of(photos)], "half")
    assert purge.recount(counted.photos, counted.runs, counted.quarantine, before)
    rows = {row["partition_key"]: row for row in counted.runs.refresh().scan().to_arrow().to_pylist()}
    counts = {"listed": 4, "registered": 3, "quarantined": 1, "reasons": [("CORRUPT", 1)], **after}
    assert rows == {"other": rows["other"], DAY: before | counts}
    assert not purge.recount(counted.photos, counted.runs, counted.quarantine, before)


def runs_row_of(row: dict[str, Any], day: str) -> pa.Table:
    return pa.Table.from_pylist([row | {"partition_key": day}], schema=schemas.RUNS)


def half_of(photos: Table) -> str:
    """A file with half of the rows of the only one."""
    (task,) = photos.scan().plan_files()
    path = path_of(task.file.file_path).with_name("half.parquet")
    pq.write_table(pq.ParquetFile(path_of(task.file.file_path)).read().slice(0, 6), path)
    return f"file://{path}"


def test_fewer_rejected_objects_alone_are_counted_anew(settings: Settings) -> None:
    counted = Counted(settings)
    tables.replace_rows(counted.quarantine, DAY, "photos", rejected(2, "x").slice(2), "x")
    assert counted.recount()
    row = counted.row()
    assert [row[name] for name in ("listed", "registered", "quarantined", "reasons")] == [6, 6, 0, []]


def test_a_partition_without_a_run_is_not_counted(settings: Settings) -> None:
    counted = Counted(settings)
    other = counted.row() | {"partition_key": "2026-11-03"}
    assert not purge.recount(counted.photos, counted.runs, counted.quarantine, other)
    assert counted.row()["partition_key"] == DAY


def test_old_snapshots_of_the_runs_expire_with_the_count(settings: Settings) -> None:
    counted = Counted(settings)
    with counted.runs.transaction() as change:
        change.set_properties({retention.KEEP_DAYS: "0"})
    first = counted.runs.metadata.snapshots[0].snapshot_id
    tables.replace_files(counted.photos, DAY, [half_of(counted.photos)], "half")
    assert counted.recount()
    assert first not in {snapshot.snapshot_id for snapshot in counted.runs.refresh().snapshots()}
