"""A run that was planned before the published one does not replace it, whenever and however it is registered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from imagefeatures import local, publications, read, run_audit, storage, unpublish
from imagefeatures.catalog import tables, undo
from imagefeatures.errors import OlderRun
from imagefeatures.plan import Run, load_run
from imagefeatures.run_params import UnpublishParams
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.disks import lock_nothing
from support.photos import fill, jpeg
from support.publishing import SPAWN, in_processes
from support.redriving import Partition
from support.shared import THIS_PROCESS, MakeRun

TABLES = ("photos", "quarantine", "runs")
Finished = Callable[..., Run]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(3)} | {"bad.jpg": b""})


@pytest.fixture
def finished(make_run: MakeRun, photos: Path) -> Finished:
    """finished(**params): a run over the photos, ready to register."""

    def make(**params: object) -> Run:
        run = make_run(photos, {"reuse": False, **params}, limits={"max_rejected": 1})
        local.run_steps(run, THIS_PROCESS)
        return run

    return make


def holders(settings: Settings) -> dict[str, set[str]]:
    """The run_ids in each table."""
    return {name: set(read.table(settings, name, columns=("run_id",))["run_id"].to_pylist()) for name in TABLES}


def of_one(run: Run) -> dict[str, set[str]]:
    return {name: {run.run_id} for name in TABLES}


def versions(settings: Settings) -> list[str]:
    opened = tables.open_catalog(settings)
    return [opened.load_table(("features", name)).metadata_location for name in TABLES]


def test_an_older_run_is_refused_in_one_line_and_nothing_is_touched(finished: Finished, settings: Settings) -> None:
    older, newer = finished(), finished()
    register.register(newer.layout.run_file, settings)
    before = versions(settings)
    with pytest.raises(OlderRun) as refused:
        register.register(older.layout.run_file, settings)
    (line,) = str(refused.value).splitlines()
    for word in (
        older.run_id,
        older.started_at.isoformat(),
        newer.run_id,
        newer.started_at.isoformat(),
        "replace_newer",
    ):
        assert word in line
    assert holders(settings) == of_one(newer)
    assert versions(settings) == before
    assert load_run(older.layout.run_file) == older  # it may still be published, if somebody says so


@pytest.mark.parametrize("by", ["parameter", "call"])
def test_an_older_run_is_published_where_somebody_says_so(finished: Finished, settings: Settings, by: str) -> None:
    older, newer = finished(replace_newer=by == "parameter"), finished()
    register.register(newer.layout.run_file, settings)
    outcome = register.register(older.layout.run_file, settings, replace_newer=by == "call")
    assert outcome.state == register.REGISTERED
    assert holders(settings) == of_one(older)


def interrupted(run: Run, settings: Settings, patch: pytest.MonkeyPatch) -> None:
    """Register a run on a store without locks: its process ends after the last commit, and nobody sees that yet."""
    lock_nothing(patch)
    with patch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(publications, "forget", lambda _: (_ for _ in ()).throw(KeyboardInterrupt()))
        register.register(run.layout.run_file, settings)
    assert holders(settings) == of_one(run)


def finish(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    """The minutes have gone by after which such a publication is taken for interrupted."""
    patch.setattr(publications, "LONGEST", publications.LONGEST * 0)
    publications.finish_interrupted(tables.open_catalog(settings), settings)
    assert not list(storage.list_objects(f"{settings.lake}/publishing"))


@pytest.mark.parametrize("replace_newer", [True, False])
def test_an_interrupted_publication_does_not_replace_a_later_run_that_was_published_meanwhile(
    finished: Finished, settings: Settings, monkeypatch: pytest.MonkeyPatch, replace_newer: bool
) -> None:
    older, newer = finished(replace_newer=replace_newer), finished()
    interrupted(older, settings, monkeypatch)
    register.register(newer.layout.run_file, settings)
    finish(settings, monkeypatch)
    assert holders(settings) == of_one(newer)


@pytest.mark.parametrize("replace_newer", [True, False])
def test_an_interrupted_publication_brings_no_rows_back_that_were_taken_back_meanwhile(
    finished: Finished, settings: Settings, monkeypatch: pytest.MonkeyPatch, replace_newer: bool
) -> None:
    run = finished(replace_newer=replace_newer)
    interrupted(run, settings, monkeypatch)
    asked = UnpublishParams(why="a wrong camera", dry_run=False)
    assert unpublish.withdraw("photos", run.partition, asked, "ada", settings)
    finish(settings, monkeypatch)
    assert holders(settings) == {name: set() for name in TABLES}


@pytest.mark.parametrize("replace_newer", [True, False])
def test_an_interrupted_publication_does_not_undo_a_re_drive_of_its_own_run(
    finished: Finished, settings: Settings, photos: Path, monkeypatch: pytest.MonkeyPatch, replace_newer: bool
) -> None:
    run = finished(replace_newer=replace_newer)
    interrupted(run, settings, monkeypatch)
    fill(photos, {"bad.jpg": jpeg(9)})
    mended = Partition(run.dataset, settings, run.partition).redrive()
    finish(settings, monkeypatch)
    assert holders(settings) == {name: {mended.row["run_id"]} for name in TABLES} | {"quarantine": set()}


def test_the_next_run_replaces_an_older_one_that_was_put_back(finished: Finished, settings: Settings) -> None:
    older, newer = finished(replace_newer=True), finished()
    register.register(newer.layout.run_file, settings)
    register.register(older.layout.run_file, settings)
    newest = finished()
    register.register(newest.layout.run_file, settings)
    assert holders(settings) == of_one(newest)


def test_a_run_json_from_before_the_parameter_is_read(finished: Finished) -> None:
    run = finished()
    content = json.loads(storage.read(run.layout.run_file))
    del content["replace_newer"]
    storage.write(run.layout.run_file, json.dumps(content).encode())
    assert load_run(run.layout.run_file) == run


@pytest.mark.parametrize("moment", ["quarantine", "photos", "runs"])
@pytest.mark.parametrize("rejected", [True, False], ids=["both have rejected rows", "the newer has none"])
def test_a_newer_run_that_is_published_between_the_olders_commits_stands(
    finished: Finished, settings: Settings, photos: Path, monkeypatch: pytest.MonkeyPatch, moment: str, rejected: bool
) -> None:
    standing = finished()
    register.register(standing.layout.run_file, settings)
    older = finished()
    if not rejected:
        (photos / "bad.jpg").unlink()
    newer = finished()
    meanwhile = iter([newer])
    swaps = {name: getattr(tables, name) for name in ("replace_rows", "replace_files")}

    def let_in(name: str) -> Callable[..., bool]:
        def swap(table: tables.Table, *rest: object) -> bool:
            if table.name()[-1] == moment:
                for other in meanwhile:  # once
                    register.register(other.layout.run_file, settings)
            return swaps[name](table, *rest)

        return swap

    for name in swaps:
        monkeypatch.setattr(tables, name, let_in(name))
    with pytest.raises(OlderRun):
        register.register(older.layout.run_file, settings)
    wanted = of_one(newer) | ({} if rejected else {"quarantine": set()})
    assert holders(settings) == wanted
    assert read.table(settings, "photos").num_rows == 3


def test_an_older_register_that_is_killed_before_it_took_its_rows_back_does_so_when_it_is_tried_again(
    finished: Finished, settings: Settings, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = finished()
    (photos / "bad.jpg").unlink()
    newer = finished()
    register.register(newer.layout.run_file, settings)
    run = load_run(older.layout.run_file)
    audit = run_audit.audit_run(run)
    opened = tables.open_catalog(settings)
    quarantine = tables.open_table(opened, settings, "quarantine")
    tables.replace_rows(
        quarantine, run.partition, "photos", register._quarantine_rows(run, audit, run.started_at), run.run_id
    )
    assert holders(settings)["quarantine"] == {older.run_id}  # it had looked before the newer run was there
    with pytest.raises(OlderRun):
        register.register(older.layout.run_file, settings)
    assert holders(settings) == {"photos": {newer.run_id}, "quarantine": set(), "runs": {newer.run_id}}


def test_what_is_taken_back_is_what_was_there_and_only_from_the_run_itself(
    finished: Finished, settings: Settings
) -> None:
    first, second = finished(), finished()
    register.register(first.layout.run_file, settings)
    before = read.table(settings, "photos").sort_by("uri")
    register.register(second.layout.run_file, settings)
    table = tables.open_table(tables.open_catalog(settings), settings, "photos")
    assert not undo.take_back(table, second.partition, first.run_id)
    assert undo.take_back(table, second.partition, second.run_id)
    assert read.table(settings, "photos").sort_by("uri").equals(before)
    assert not undo.take_back(table, second.partition, second.run_id)


def registered(run_file: str, settings: Settings, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    try:
        register.register(run_file, settings)
    except OlderRun:
        print("refused")


@pytest.mark.long
def test_two_processes_that_register_at_once_leave_the_newer_run(finished: Finished, settings: Settings) -> None:
    for _ in range(3):
        older, newer = finished(), finished()
        start = SPAWN.Barrier(2)
        in_processes(registered, [(run.layout.run_file, settings, start) for run in (older, newer)])
        assert holders(settings) == of_one(newer)
