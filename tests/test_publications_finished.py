"""What becomes of a publication that was interrupted, of runs and withdrawals that are written down by hand."""

from __future__ import annotations

import dataclasses
import datetime as dt
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog

from imagefeatures import layout, publications, read, schemas, sealed, storage
from imagefeatures.catalog import tables
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ImageFeaturesError, StoreError, StoreRefused
from imagefeatures.layout import Layout
from imagefeatures.publications import Publication
from imagefeatures.settings import Settings
from support.disks import lock_nothing
from support.histories import publication
from support.interrupted import notes
from support.publishing import DAY

NOON = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)
HOUR, DAY_BEFORE = dt.timedelta(hours=1), NOON - dt.timedelta(days=1)


@pytest.fixture
def catalog(settings: Settings) -> Catalog:
    return tables.open_catalog(settings)


def of_run(settings: Settings, run_id: str, at: dt.datetime = NOON, **row: Any) -> Publication:
    """Of a run that has one rejected object and nothing else. row: columns of its row of runs that differ."""
    made = publication(Layout(settings.lake, "photos", DAY, run_id), [], at)
    (runs,) = made.runs.to_pylist()
    return dataclasses.replace(made, runs=pa.Table.from_pylist([runs | row], schema=schemas.RUNS))


def emptied(of: Publication) -> Publication:
    """The same without the rejected object."""
    (runs,) = of.runs.to_pylist()
    rows = [runs | {"listed": 0, "quarantined": 0, "reasons": []}]
    return dataclasses.replace(
        of, runs=pa.Table.from_pylist(rows, schema=schemas.RUNS), quarantine=schemas.QUARANTINE.empty_table()
    )


def withdrawing(of: Publication, replaced: str, at: dt.datetime = NOON) -> Publication:
    """The same as what a withdrawal leaves of a run."""
    row = {
        "partition_key": DAY, "dataset": "photos", "run_id": of.layout.run_id, "replaced": replaced, "asked_by": "ada",
        "why": "a wrong camera", "withdrawn_at": at, "uris": None, "registered": 0, "quarantined": 1,
    }  # fmt: skip
    told = pa.Table.from_pylist([row], schema=schemas.WITHDRAWALS)
    return dataclasses.replace(of, replaces=replaced, withdrawal=told)


def interrupted(of: Publication, catalog: Catalog, settings: Settings, before: str = "quarantine") -> None:
    """Publish it in a process that ends when it comes to the table `before`."""
    real = tables.replace_rows

    def ends(table: Any, *rest: Any) -> bool:
        if table.name()[-1] == before:
            raise KeyboardInterrupt
        return real(table, *rest)

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tables, "replace_rows", ends)
        publications.publish(of, catalog, settings)
    assert notes(settings) == [of.layout.publication]


def published(settings: Settings) -> list[str]:
    return [row["run_id"] for row in read.runs(settings)]


@pytest.mark.parametrize("withdrawn", [False, True], ids=["a run", "a withdrawal"])
def test_without_locks_one_is_taken_for_interrupted_a_quarter_of_an_hour_after_it_began(
    catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch, withdrawn: bool
) -> None:
    lock_nothing(monkeypatch)
    run = of_run(settings, "new", DAY_BEFORE if withdrawn else NOON)  # a withdrawal leaves the times of the run's row
    interrupted(withdrawing(emptied(run), "old") if withdrawn else run, catalog, settings)
    for seconds, left in ((899, 1), (900, 0)):
        now = NOON + dt.timedelta(seconds=seconds)
        clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda _, now=now: now), UTC=dt.UTC)
        monkeypatch.setattr(publications, "dt", clock)
        publications.finish_interrupted(catalog, settings)
        assert len(notes(settings)) == left
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


def test_one_of_a_run_that_was_planned_earlier_than_the_published_one_is_named_and_given_up(
    catalog: Catalog, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    older = of_run(settings, "older", finished_at=NOON + 3 * HOUR)
    interrupted(older, catalog, settings, "runs")
    publications.publish(of_run(settings, "later", NOON + HOUR), catalog, settings)
    publications.finish_interrupted(catalog, settings)
    assert published(settings) == ["later"]
    assert read.table(settings, "quarantine")["run_id"].to_pylist() == ["later"]
    assert f"{older.layout.publication}: not finished: {DAY} of photos: run older was planned at " in caplog.text
    assert notes(settings) == []


def test_a_withdrawal_after_which_another_run_was_published_is_named_and_is_none(
    catalog: Catalog, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    withdrawal = withdrawing(emptied(of_run(settings, "withdrawal", DAY_BEFORE)), "old")
    interrupted(withdrawal, catalog, settings, "runs")
    assert read.table(settings, "withdrawals").num_rows == 1
    publications.publish(of_run(settings, "new", NOON + HOUR), catalog, settings)
    publications.finish_interrupted(catalog, settings)
    assert published(settings) == ["new"]
    assert read.table(settings, "withdrawals").num_rows == 0
    assert f"{withdrawal.layout.publication}: not finished: " in caplog.text


def test_what_is_sealed_and_no_publication_is_named_and_another_file_is_left_alone(
    catalog: Catalog, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    run = of_run(settings, "x")
    interrupted(run, catalog, settings)
    whole = sealed.decode("", storage.read(run.layout.publication))
    of_lists = sealed.text_of_table(pa.table({name: pa.array([[1]]) for name in schemas.RUNS.names}))
    uris = []
    for number, forged in enumerate(({"runs": None}, {"runs": 5}, {"runs": of_lists}, {"files": [5]})):
        there = of_run(settings, str(number))
        content = whole | {"runs": sealed.text_of_table(there.runs)} | forged
        uris.append(there.layout.publication)
        storage.write(uris[-1], sealed.encode({name: of for name, of in content.items() if of is not None}))
    storage.write(stray := f"{layout.publications_folder(settings.lake)}/0/notes.txt", b"")
    publications.finish_interrupted(catalog, settings)
    told = [record.getMessage() for record in caplog.records]
    assert [line.partition(": not a publication: ")[0] for line in told] == uris
    assert published(settings) == ["x"]
    assert set(notes(settings)) == {*uris, stray}


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


def test_objects_are_published_twice_only_where_the_source_has_no_partitions(
    catalog: Catalog, settings: Settings, tmp_path: Path
) -> None:
    run = of_run(settings, "new")
    tables.replace_rows(tables.open_table(catalog, settings, "runs"), DAY, "photos", run.runs, "new")
    for source, partition, warned in (("{partition}", "other", False), ("all", "other", True), ("all", DAY, False)):
        dataset = Dataset(name="photos", source=f"file://{tmp_path}/{source}/")
        assert (publications.also_published(dataset, partition, catalog) is not None) is warned
