"""What becomes of a publication that was interrupted, of runs and withdrawals that are written down by hand."""

from __future__ import annotations

import dataclasses
import datetime as dt
import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog

from imagefeatures import publications, read, schemas, storage
from imagefeatures.catalog import pixel_tables, tables
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ImageFeaturesError, OlderRun, StoreError, StoreRefused
from imagefeatures.pixels import PixelFormat
from imagefeatures.settings import Settings
from support.by_hand import DAY_BEFORE, HOUR, NOON, emptied, interrupted, of_run, published, stands, withdrawing
from support.disks import lock_nothing
from support.interrupted import notes
from support.publishing import DAY


@pytest.fixture
def catalog(settings: Settings) -> Catalog:
    return tables.open_catalog(settings)


@pytest.mark.parametrize("withdrawn", [False, True], ids=["a run", "a withdrawal"])
def test_without_locks_one_is_taken_for_interrupted_a_quarter_of_an_hour_after_it_began(
    catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch, withdrawn: bool
) -> None:
    lock_nothing(monkeypatch)
    run = of_run(settings, "new", DAY_BEFORE if withdrawn else NOON)  # a withdrawal leaves the times of the run's row
    storage.write(run.layout.run_file, b"{}")
    interrupted(withdrawing(emptied(run), "old") if withdrawn else run, catalog, settings)
    for seconds, left in ((899, 1), (900, 0)):
        now = NOON + dt.timedelta(seconds=seconds)
        clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda _, now=now: now), UTC=dt.UTC)
        monkeypatch.setattr(publications, "dt", clock)
        publications.finish_interrupted(catalog, settings)
        assert len(notes(settings)) == len(list(storage.list_objects(run.layout.run))) == left
    assert read.table(settings, "withdrawals").num_rows == withdrawn
    assert published(settings) == ([] if withdrawn else ["new"])


def test_only_a_withdrawal_of_which_nothing_stays_leaves_no_row_of_runs(catalog: Catalog, settings: Settings) -> None:
    for of, stays in (
        (emptied(of_run(settings, "1")), ["1"]),  # a run that listed nothing
        (withdrawing(of_run(settings, "2"), "1"), ["2"]),
        (withdrawing(emptied(of_run(settings, "3")), "2"), []),
    ):
        publications.publish(of, catalog, settings)
        assert published(settings) == stays
    assert notes(settings) == []


def test_a_run_that_comes_too_late_is_refused_before_a_table_is_changed(catalog: Catalog, settings: Settings) -> None:
    publications.publish(withdrawing(emptied(of_run(settings, "1", DAY_BEFORE)), "0"), catalog, settings)
    quarantine = tables.open_table(catalog, settings, "quarantine")
    before = quarantine.metadata_location
    late = of_run(settings, "2", DAY_BEFORE)
    for replace_newer, line in (
        (False, "was planned at .* before rows "),
        (True, "was to be published at .* before rows "),
    ):
        with pytest.raises(OlderRun, match=line):
            publications.publish(dataclasses.replace(late, replace_newer=replace_newer), catalog, settings)
    stands(of_run(settings, "3", NOON + 2 * HOUR), catalog, settings)
    with pytest.raises(OlderRun, match=r"was to be published at .* before run 3, "):
        late = dataclasses.replace(of_run(settings, "4", NOON + HOUR), replace_newer=True)
        publications.publish(late, catalog, settings)
    assert quarantine.refresh().metadata_location == before


def test_statistics_and_maps_of_a_partition_leave_with_its_rows(catalog: Catalog, settings: Settings) -> None:
    blank = {pa.string(): "x", pa.int64(): 7, pa.float64(): 0.5}
    row = {
        field.name: blank.get(field.type, [] if pa.types.is_nested(field.type) else 0) for field in schemas.STATISTICS
    }
    row |= {"partition_key": DAY, "dataset": "photos"}
    rows = pa.Table.from_pylist([row], schema=schemas.STATISTICS)
    tables.replace_rows(tables.open_table(catalog, settings, "statistics"), DAY, "photos", rows, "0")
    storage.write(shown := f"{settings.lake}/maps/photos/{'0' * 32}.parquet", b"one that cannot be read goes too")
    publications.publish(withdrawing(emptied(of_run(settings, "1")), "0"), catalog, settings)
    assert read.table(settings, "statistics").num_rows == 0
    assert not storage.exists(shown)


def test_runs_that_collide_over_and_over_wait_for_longer_each_time_until_one_is_refused(
    catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []

    def drawn(least: float, most: float) -> float:
        waits.append((least, most))
        return 0.0

    monkeypatch.setattr(random, "uniform", drawn)
    monkeypatch.setattr(publications, "ATTEMPTS", 3)
    monkeypatch.setattr(tables, "agree", lambda *_: False)
    with pytest.raises(
        StoreError, match=f"^{DAY} of photos is being published by other runs over and over; try again$"
    ):
        publications.publish(of_run(settings, "new"), catalog, settings)
    assert waits == [(0, 0.1), (0, 0.2), (0, 0.4)]


def test_a_table_of_pixels_is_made_as_the_publication_says(catalog: Catalog, settings: Settings) -> None:
    files: dict[str, list[str]] = {"photos": [], "photos_pixels": []}
    run = dataclasses.replace(of_run(settings, "new"), files=files, pixels=PixelFormat.of_shape((2, 3, 1)))
    interrupted(run, catalog, settings)
    catalog.drop_table(("features", "photos_pixels"))
    publications.finish_interrupted(catalog, settings)
    assert published(settings) == ["new"]
    assert pixel_tables.kind_of(catalog.load_table(("features", "photos_pixels"))) == run.pixels


def test_one_of_a_run_that_was_planned_earlier_than_the_published_one_is_named_and_given_up(
    catalog: Catalog, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    older = of_run(settings, "older", finished_at=NOON + 3 * HOUR)
    storage.write(older.layout.run_file, b"{}")
    interrupted(older, catalog, settings, "runs")
    later = emptied(of_run(settings, "later", NOON + HOUR))
    stands(later, catalog, settings)
    publications.finish_interrupted(catalog, settings, but="older")
    assert read.table(settings, "quarantine")["run_id"].to_pylist() == ["older"]
    publications.finish_interrupted(catalog, settings)
    assert published(settings) == ["later"]
    assert read.table(settings, "quarantine").num_rows == 0
    assert storage.exists(older.layout.run_file)  # somebody may still say replace_newer
    assert f"{older.layout.publication}: not finished: {DAY} of photos: run older was planned at " in caplog.text
    assert notes(settings) == []


def test_a_withdrawal_after_which_another_run_was_published_is_named_and_is_none(
    catalog: Catalog, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    withdrawal = withdrawing(emptied(of_run(settings, "withdrawal", DAY_BEFORE)), "old")
    storage.write(withdrawal.layout.run_file, b"{}")
    interrupted(withdrawal, catalog, settings, "runs")
    assert read.table(settings, "withdrawals").num_rows == 1
    publications.publish(of_run(settings, "new", NOON + HOUR), catalog, settings)
    publications.finish_interrupted(catalog, settings)
    assert published(settings) == ["new"]
    assert read.table(settings, "withdrawals").num_rows == 0
    assert f"{withdrawal.layout.publication}: not finished: " in caplog.text
    assert not storage.exists(withdrawal.layout.run_file)


def full(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(settings.lake.removeprefix("file://"))
    patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))


def filled_by_a_commit(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    def fills(*_: object) -> bool:
        full(settings, patch)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr(tables, "replace_files", fills)


def away(_: Settings, patch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    patch.setattr(SqlCatalog, "load_table", fails)


@pytest.mark.parametrize(
    ("fault", "error", "line"),
    [
        (full, StoreRefused, r"1\.0 MB free, .*: free some space there, then try again$"),
        (filled_by_a_commit, StoreRefused, r"1\.0 MB free, .*: free some space there, then try again$"),
        (away, StoreError, "a file of it cannot be reached now"),
    ],
)
def test_where_the_lake_is_full_or_away_the_next_run_is_stopped_and_the_publication_is_left(
    catalog: Catalog,
    settings: Settings,
    fault: Callable[[Settings, pytest.MonkeyPatch], None],
    error: type[ImageFeaturesError],
    line: str,
) -> None:
    interrupted(run := of_run(settings, "new"), catalog, settings)
    with pytest.MonkeyPatch.context() as patched:
        fault(settings, patched)
        with pytest.raises(error, match=line):
            publications.finish_interrupted(catalog, settings)
        with pytest.raises(error, match=line):
            publications.publish(of_run(settings, "newer"), catalog, settings)
    assert published(settings) == []
    assert notes(settings) == [run.layout.publication]


def test_one_whose_table_cannot_be_read_is_named_and_left(
    catalog: Catalog, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    interrupted(run := of_run(settings, "new"), catalog, settings)
    for file in Path(settings.lake.removeprefix("file://")).glob("warehouse/features/photos/metadata/*.metadata.json"):
        file.write_bytes(b"")
    publications.finish_interrupted(tables.open_catalog(settings), settings)
    assert f"{run.layout.publication}: this publication cannot be finished: features.photos: " in caplog.text
    assert notes(settings) == [run.layout.publication]


@pytest.mark.parametrize("withdrawn", [False, True], ids=["a run", "a withdrawal"])
def test_one_whose_file_cannot_be_read_is_named_and_left(
    catalog: Catalog, settings: Settings, caplog: pytest.LogCaptureFixture, withdrawn: bool
) -> None:
    run = of_run(settings, "new")
    storage.write(file := run.layout.new_output("featurize", 0), b"no Parquet")
    run = dataclasses.replace(withdrawing(run, "old") if withdrawn else run, files={"photos": [file]})
    tables.open_table(catalog, settings, "photos")
    stands(of_run(settings, "old", DAY_BEFORE), catalog, settings)
    interrupted(run, catalog, settings)
    publications.finish_interrupted(catalog, settings)
    assert f"{run.layout.publication}: this publication cannot be finished: features.photos: " in caplog.text
    assert notes(settings) == [run.layout.publication]


def test_one_that_has_not_begun_is_refused_where_its_file_is_gone_or_something_was_forgotten(
    catalog: Catalog, settings: Settings
) -> None:
    gone = dataclasses.replace(of_run(settings, "1"), files={"photos": [f"{settings.lake}/gone.parquet"]})
    with pytest.raises(StoreError, match=r"gone\.parquet: was deleted before it was published"):
        publications.publish(gone, catalog, settings)
    with pytest.raises(StoreError, match="images were forgotten while the publication was made"):
        publications.publish(of_run(settings, "2"), catalog, settings, "as it was before")
    assert notes(settings) == published(settings) == []
    interrupted(begun := of_run(settings, "3"), catalog, settings)
    publications.publish(begun, catalog, settings, "as it was before")
    assert published(settings) == ["3"]


def test_objects_are_published_twice_only_where_the_source_has_no_partitions(
    catalog: Catalog, settings: Settings, tmp_path: Path
) -> None:
    stands(of_run(settings, "new"), catalog, settings)
    for source, partition, warned in (("{partition}", "other", False), ("all", "other", True), ("all", DAY, False)):
        dataset = Dataset(name="photos", source=f"file://{tmp_path}/{source}/")
        assert (publications.also_published(dataset, partition, catalog) is not None) is warned
