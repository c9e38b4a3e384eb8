"""A publication that stopped between two commits is finished by the next plan or register of any dataset."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from imagefeatures import layout, publications, read, run_audit, storage
from imagefeatures.catalog import room, tables
from imagefeatures.errors import StoreRefused
from imagefeatures.local import run_steps
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.disks import lock_as_on_nfs, lock_nothing
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun
from support.unprivileged import folder_of_nobody

TABLES = ("quarantine", "photos", "runs")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(4)} | {"bad.jpg": b""})


@pytest.fixture
def finished(make_run: MakeRun, photos: Path) -> Callable[..., Run]:
    """finished(name): a run of that dataset with every step done, ready to register; one object of it is rejected."""

    def make(name: str = "photos") -> Run:
        run = make_run(photos, {"reuse": False}, limits={"max_rejected": 0.5}, name=name)
        run_steps(run, THIS_PROCESS)
        return run

    return make


def stopped(run: Run, settings: Settings, before: str, patch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Register the run, whose process ends or fails when it comes to the table `before`."""
    swaps = {name: getattr(tables, name) for name in ("replace_rows", "replace_files")}

    def swap_or_fail(name: str) -> Callable[..., bool]:
        def call(table: object, *rest: object) -> bool:
            if table.name()[-1] == before:  # type: ignore[attr-defined]
                raise error
            return swaps[name](table, *rest)

        return call

    with patch.context() as patched, pytest.raises(type(error)):
        for name in swaps:
            patched.setattr(tables, name, swap_or_fail(name))
        register.register(run.layout.run_file, settings)


def runs_in(settings: Settings) -> list[set[str]]:
    """The run_id of the rows of the dataset photos in each of its three tables."""
    rows = {name: read.table(settings, name) for name in TABLES}
    return [
        {row["run_id"] for row in rows[name].to_pylist() if row.get("dataset", "photos") == "photos"} for name in TABLES
    ]


def notes(settings: Settings) -> list[str]:
    return [stored.uri for stored in storage.list_objects(layout.publications_folder(settings.lake))]


@pytest.mark.parametrize("before", ["photos", "runs"])
@pytest.mark.parametrize("next_step", ["plan", "register"])
def test_the_next_run_of_another_dataset_finishes_it(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch, before: str, next_step: str
) -> None:
    register.register((old := finished()).layout.run_file, settings)
    other = finished("other")
    new = finished()
    stopped(new, settings, before, monkeypatch, KeyboardInterrupt())
    assert runs_in(settings)[0] == {new.run_id}
    assert runs_in(settings)[2] == {old.run_id}  # readers can tell: the row of runs comes last
    assert len(notes(settings)) == 1
    if next_step == "plan":
        finished("third")
    else:
        register.register(other.layout.run_file, settings)
    assert runs_in(settings) == [{new.run_id}] * 3
    assert notes(settings) == []
    assert list(storage.list_objects(new.layout.run)) == []
    assert register.register(new.layout.run_file, settings).state == register.ALREADY


def test_on_nfs_the_next_run_of_another_dataset_finishes_it_too(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_as_on_nfs(monkeypatch)
    register.register(finished().layout.run_file, settings)
    new = finished()
    stopped(new, settings, "photos", monkeypatch, KeyboardInterrupt())
    finished("third")
    assert runs_in(settings) == [{new.run_id}] * 3
    assert notes(settings) == []
    assert list(storage.list_objects(new.layout.run)) == []


def test_it_is_finished_without_its_staging_folder(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = finished()
    stopped(new, settings, "photos", monkeypatch, KeyboardInterrupt())
    storage.delete_folder(new.layout.run)
    finished("other")
    assert runs_in(settings) == [{new.run_id}] * 3


def test_a_register_that_died_after_its_last_commit_leaves_nothing(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(publications, "forget", lambda _: (_ for _ in ()).throw(KeyboardInterrupt()))
        register.register(run.layout.run_file, settings)
    assert len(notes(settings)) == 1
    assert register.register(run.layout.run_file, settings).state == register.ALREADY
    assert notes(settings) == []


def test_a_register_is_done_where_another_run_finishes_its_publication_while_it_tries_again(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished()
    stopped(run, settings, "photos", monkeypatch, KeyboardInterrupt())
    real = run_audit.audit_run

    def finished_meanwhile(run: Run) -> run_audit.Audit:
        publications.finish_interrupted(tables.open_catalog(settings), settings)
        assert list(storage.list_objects(run.layout.run)) == []
        return real(run)

    monkeypatch.setattr(run_audit, "audit_run", finished_meanwhile)
    outcome = register.register(run.layout.run_file, settings)
    assert (outcome.state, outcome.row["run_id"]) == (register.ALREADY, run.run_id)
    assert runs_in(settings) == [{run.run_id}] * 3


def test_a_publication_of_a_process_that_lives_is_left_alone(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, run = finished("other"), finished()
    real = tables.replace_files

    def meanwhile(*args: object) -> bool:
        monkeypatch.setattr(tables, "replace_files", real)
        register.register(other.layout.run_file, settings)
        assert notes(settings) == [run.layout.publication]
        assert not any(row["dataset"] == "photos" for row in read.runs(settings))
        return real(*args)

    monkeypatch.setattr(tables, "replace_files", meanwhile)
    assert register.register(run.layout.run_file, settings).state == register.REGISTERED
    assert {row["dataset"] for row in read.runs(settings)} == {"photos", "other"}


def test_a_later_run_that_is_published_whole_stays(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, later = finished(), finished()
    stopped(older, settings, "photos", monkeypatch, KeyboardInterrupt())
    kept = Path(older.layout.publication.removeprefix("file://"))
    aside = shutil.copytree(kept.parent, kept.parent.parent.parent / "aside")
    register.register(later.layout.run_file, settings)
    shutil.copytree(aside, kept.parent)  # as if nobody had seen it until now
    finished("other")
    assert runs_in(settings) == [{later.run_id}] * 3
    assert notes(settings) == []


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


def test_without_room_nothing_is_changed_and_the_line_says_where(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    register.register((old := finished()).layout.run_file, settings)
    new = finished()
    usage = shutil.disk_usage(settings.lake.removeprefix("file://"))
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3_000_000))
        with pytest.raises(StoreRefused) as refused:
            register.register(new.layout.run_file, settings)
    assert str(refused.value).startswith(f"{settings.lake}: 3.0 MB free, and a publication may take ")
    assert str(refused.value).endswith(": free some space there, then try again")
    assert runs_in(settings) == [{old.run_id}] * 3
    assert notes(settings) == []
    assert register.register(new.layout.run_file, settings).state == register.REGISTERED


def test_without_inodes_nothing_is_changed(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished()
    status = list(os.statvfs(settings.lake.removeprefix("file://")))
    status[5], status[7] = 1000, room.FILES - 1  # f_files, f_favail
    with monkeypatch.context() as patched:
        patched.setattr(os, "statvfs", lambda _: os.statvfs_result(status))
        with pytest.raises(StoreRefused, match=rf"can hold {room.FILES - 1} more files"):
            register.register(run.layout.run_file, settings)
    assert read.runs(settings) == []


@pytest.mark.parametrize("write", [4, 7, 10])
def test_a_disk_that_fills_up_in_the_middle_is_one_line_and_the_next_run_ends_it(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    register.register(finished().layout.run_file, settings)
    new, real, left = finished(), os.write, [write]

    def full(descriptor: int, data: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(
            StoreRefused, match=r"^file://.*no space left on its file system .*then try again$"
        ) as failed:
            register.register(new.layout.run_file, settings)
    assert "\n" not in str(failed.value)
    finished("other")
    assert runs_in(settings) == [{new.run_id}] * 3


def test_without_locks_only_an_old_publication_is_taken_for_interrupted(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished()
    stopped(run, settings, "photos", monkeypatch, KeyboardInterrupt())
    catalog = tables.open_catalog(settings)
    content = storage.read(run.layout.publication)
    begun = publications._read(run.layout.publication, run.run_id, settings.lake)
    assert begun.quarantine.num_rows == 1
    assert begun.layout == run.layout
    lock_nothing(monkeypatch)
    publications.finish_interrupted(catalog, settings)
    assert storage.read(run.layout.publication) == content
    monkeypatch.setattr(publications, "LONGEST", publications.LONGEST * 0)
    publications.finish_interrupted(catalog, settings)
    assert runs_in(settings) == [{run.run_id}] * 3
