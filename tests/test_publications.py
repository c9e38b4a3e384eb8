"""A publication that stopped between two commits is finished by the next plan or register of any dataset."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from imagefeatures import publications, read, run_audit, storage
from imagefeatures.catalog import room, tables
from imagefeatures.errors import StoreRefused
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.disks import lock_as_on_nfs, lock_nothing
from support.interrupted import finished_runs, notes, runs_in, stopped
from support.shared import MakeRun


@pytest.fixture
def finished(make_run: MakeRun, tmp_path: Path) -> Callable[..., Run]:
    """finished(name): a run of that dataset with every step done, ready to register; one object of it is rejected."""
    return finished_runs(make_run, tmp_path / "photos")


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
