"""An interrupted publication that cannot be finished is named, and stops no other dataset."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, IdentityTransform, Transform, TruncateTransform, VoidTransform
from pyiceberg.types import LongType

from imagefeatures import layout, publications, read, storage, unpublish
from imagefeatures.catalog import tables
from imagefeatures.errors import CatalogRefused
from imagefeatures.plan import Run
from imagefeatures.run_params import UnpublishParams
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.interrupted import finished_runs, notes, runs_in, stopped
from support.measured import clouds, publish
from support.shared import MakeRun
from support.unprivileged import folder_of_nobody


@pytest.fixture
def finished(make_run: MakeRun, tmp_path: Path) -> Callable[..., Run]:
    """finished(name): a run of that dataset with every step done, ready to register; one object of it is rejected."""
    return finished_runs(make_run, tmp_path / "photos")


def test_one_that_cannot_be_finished_is_named_and_stops_nobody(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = finished()
    stopped(run, settings, "photos", monkeypatch, KeyboardInterrupt())
    for file in Path(settings.lake.removeprefix("file://")).glob(f"warehouse/features/photos/data/*/{run.run_id}*"):
        file.unlink()
    with caplog.at_level(logging.WARNING, logger="imagefeatures.publications"):
        other = finished("other")
    assert run.layout.publication in caplog.text
    assert register.register(other.layout.run_file, settings).state == register.REGISTERED


def test_one_whose_table_is_damaged_is_named_and_stops_nobody(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    register.register(finished().layout.run_file, settings)
    run = finished()
    stopped(run, settings, "photos", monkeypatch, KeyboardInterrupt())
    for lost in ("*-m0.avro", "snap-*.avro", "*.metadata.json"):
        for file in Path(settings.lake.removeprefix("file://")).glob(f"warehouse/features/photos/metadata/{lost}"):
            file.write_bytes(b"")
        caplog.clear()
        other = finished("other")
        assert f"{run.layout.publication}: this publication cannot be finished: " in caplog.text
    assert register.register(other.layout.run_file, settings).state == register.REGISTERED
    assert notes(settings) == [run.layout.publication]  # for the next run, once the table is repaired


def upgraded(table: Table) -> None:
    """As Spark leaves a table whose property format-version somebody has set to 3: pyiceberg does not do it."""
    file = Path(table.metadata_location.removeprefix("file://"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format-version": 3, "next-row-id": 0}))


def of_another_type(table: Table) -> None:
    column = "etag" if table.name()[-1] == "photos" else "detail"
    with table.update_schema(allow_incompatible_changes=True) as change:
        change.delete_column(column)
    with table.update_schema() as change:
        change.add_column(column, LongType())


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("photos", upgraded, "has upgraded it to version 3 of Iceberg's table format, which is only read here; let"),
        (
            "quarantine",
            upgraded,
            "has upgraded it to version 3 of Iceberg's table format, which is only read here; let",
        ),
        ("runs", upgraded, "has upgraded it to version 3 of Iceberg's table format, which is only read here; let"),
        ("photos", of_another_type, "another program has changed the type of etag; let"),
        ("quarantine", of_another_type, "another program has changed the type of detail; let"),
    ],
)
def test_a_table_that_somebody_has_changed_so_that_it_takes_no_rows_is_refused_before_any_is_changed(
    name: str, change: Callable[[Table], None], why: str, finished: Callable[..., Run], settings: Settings
) -> None:
    register.register(finished().layout.run_file, settings)
    change(tables.open_catalog(settings).load_table(f"features.{name}"))
    before, run = runs_in(settings), finished()
    with pytest.raises(CatalogRefused, match=rf"^features\.{name}: .*{why}"):
        register.register(run.layout.run_file, settings)
    assert (runs_in(settings), notes(settings)) == (before, [])
    assert storage.exists(run.layout.run_file)


@pytest.mark.parametrize(
    ("partitioned", "column", "transform", "fits"),
    [
        ("photos", "uri", IdentityTransform(), False),
        ("photos", "uri", BucketTransform(1), False),
        ("photos", "uri", VoidTransform(), False),
        ("photos", "uri", TruncateTransform(4), True),
        ("photos", "run_id", IdentityTransform(), True),
        ("runs", "dataset", IdentityTransform(), True),
    ],
)
def test_a_table_that_somebody_has_partitioned_by_more_than_files_are_is_refused_before_any_is_changed(
    partitioned: str,
    column: str,
    transform: Transform[Any, Any],
    fits: bool,
    finished: Callable[..., Run],
    settings: Settings,
) -> None:
    """Of features.runs rows are appended, which may be partitioned in any way."""
    register.register(finished().layout.run_file, settings)
    table = tables.open_catalog(settings).load_table(f"features.{partitioned}")
    with table.update_spec() as spec:
        spec.add_field(column, transform, "more")
    before, run = runs_in(settings), finished()
    if not fits:
        with pytest.raises(
            CatalogRefused, match=r"by more too, [^:]*: ALTER TABLE imagefeatures\.features\.photos DROP "
        ):
            register.register(run.layout.run_file, settings)
        assert (runs_in(settings), notes(settings)) == (before, [])
        with table.update_spec() as spec:
            spec.remove_field("more")
    assert register.register(run.layout.run_file, settings).state == register.REGISTERED
    assert runs_in(settings) == [{run.run_id}] * 3


@pytest.mark.parametrize("name", ["withdrawals", "statistics"])
def test_a_withdrawal_is_refused_where_its_own_tables_take_no_rows(name: str, settings: Settings) -> None:
    publish(settings, "2026-11-01", clouds(0, 3))
    upgraded(tables.open_table(tables.open_catalog(settings), settings, name))
    with pytest.raises(CatalogRefused, match=rf"^features\.{name}: another program has upgraded it to version 3 "):
        unpublish.withdraw("photos", "2026-11-01", UnpublishParams(why="x", dry_run=False), "ada", settings)
    assert (read.table(settings, "photos").num_rows, notes(settings)) == (3, [])


def test_one_that_has_changed_by_a_bit_is_named_and_never_published(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = finished()
    stopped(run, settings, "photos", monkeypatch, KeyboardInterrupt())
    file, bits = Path(run.layout.publication.removeprefix("file://")), Random(18)
    catalog, whole = tables.open_catalog(settings), file.read_bytes()
    for damaged in map(bytearray, [whole] * 100):
        damaged[bits.randrange(len(damaged))] ^= 1 << bits.randrange(8)
        file.write_bytes(damaged)
        caplog.clear()
        publications.finish_interrupted(catalog, settings)
        assert f"{run.layout.publication}: not a publication: " in caplog.text
    file.write_bytes(whole)
    publications.finish_interrupted(catalog, settings)
    assert runs_in(settings) == [{run.run_id}] * 3


def test_one_of_another_user_is_left_to_that_user(settings: Settings) -> None:
    catalog = tables.open_catalog(settings)
    with folder_of_nobody() as folder:
        theirs = folder / "publication.json"
        theirs.write_bytes(b"theirs")
        theirs.chmod(0)
        publications._finish(f"file://{theirs}", "x", catalog, settings)
        assert theirs.is_file()


@pytest.mark.parametrize("content", [b"", b"no parquet", None])
def test_what_is_no_publication_is_named_and_stops_nobody(
    finished: Callable[..., Run], settings: Settings, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    run = finished()
    if content is None:  # of another run than its name says, and with a file of another table
        import pyarrow as pa

        from imagefeatures import schemas
        from imagefeatures.publications import Publication, _written_down

        row = {field.name: None for field in schemas.RUNS} | {"dataset": "..", "partition_key": "..", "run_id": "x"}
        loose = pa.schema([field.with_nullable(True) for field in schemas.RUNS])
        forged = Publication(run.layout, {"photos": ["file:///etc/passwd"]}, schemas.QUARANTINE.empty_table(),
                             pa.Table.from_pylist([row], schema=loose))  # fmt: skip
        content = _written_down(forged)
    uri = f"{layout.publications_folder(settings.lake)}/x/publication.json"
    storage.write(uri, content)
    assert register.register(run.layout.run_file, settings).state == register.REGISTERED
    assert f"{uri}: not a publication: " in caplog.text
