"""A re-drive and a run of the whole partition at the same time: which of them stands, and what stays of the other.

The main ones for every change; the others are for make test-cluster.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures import local, publications, storage
from imagefeatures.catalog import tables
from imagefeatures.errors import OlderRun, ParamsError
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from imagefeatures.steps.register import REGISTERED
from support.photos import fill, jpeg
from support.redriving import NAME, SMALL, Partition, mend, names_of, small_partition
from support.shared import PARTITION, THIS_PROCESS


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tmp_path / "photos"


@pytest.fixture
def partition(photos: Path, settings: Settings) -> Partition:
    return small_partition(photos, settings)


def staged(partition: Partition) -> list[str]:
    """The run.json of each run of the partition that is not published."""
    folder = f"{partition.settings.lake}/staging"
    return [stored.uri for stored in storage.list_objects(folder) if stored.uri.endswith("/run.json")]


def test_a_whole_run_that_was_planned_before_a_re_drive_is_published_after_it(
    partition: Partition, photos: Path
) -> None:
    first = partition.run
    fill(photos, {f"{PARTITION}/new.jpg": jpeg(9)})
    whole = partition.whole_run()
    for name in SMALL[:2]:  # a re-drive of what a re-drive left is still of the first run's rows
        mend(photos, name)
        partition.redrive()
        assert partition.run["base_started_at"] == first["started_at"] < partition.run["started_at"]
    assert names_of(partition.quarantine) == {SMALL[2]}
    assert register.register(whole.layout.run_file, partition.settings).state == REGISTERED
    partition.check()
    assert partition.run["base_started_at"] == partition.run["started_at"] == whole.started_at
    assert "new.jpg" in names_of(partition.features)  # which no re-drive takes
    assert names_of(partition.quarantine) == set(SMALL)  # as it found them; the next re-drive takes them again
    partition.redrive()
    assert names_of(partition.quarantine) == {SMALL[2]}
    assert staged(partition) == []


@pytest.mark.long
def test_a_whole_run_that_was_planned_before_the_one_that_was_re_driven_is_refused(
    partition: Partition, photos: Path
) -> None:
    older = partition.whole_run()
    partition.publish()
    base = partition.run["started_at"]
    partition.redrive()
    with pytest.raises(OlderRun) as refused:
        register.register(older.layout.run_file, partition.settings)
    said = f"before run {partition.run['run_id']}, which is published and merged into a run of {base.isoformat()}; "
    assert said in str(refused.value)
    assert staged(partition) == [older.layout.run_file]  # replace_newer may still publish it


@pytest.mark.long
def test_a_row_from_before_the_column_is_compared_by_its_plan(partition: Partition) -> None:
    catalog = tables.open_catalog(partition.settings)
    runs = tables.open_table(catalog, partition.settings, "runs")
    older = partition.whole_run()
    partition.publish()
    runs.overwrite(runs.refresh().scan().to_arrow().drop_columns(["base_started_at"]))
    standing = partition.run["started_at"]
    with pytest.raises(OlderRun, match="which is published and of "):
        register.register(older.layout.run_file, partition.settings)
    partition.redrive()
    assert partition.run["base_started_at"] == standing


def test_a_re_drive_that_is_refused_leaves_nothing_that_resume_would_take(partition: Partition) -> None:
    interrupted = plan_run(partition.dataset, RunParams(), PARTITION, partition.settings)
    late = partition.ready()
    partition.publish()
    with pytest.raises(OlderRun, match=r"nothing was merged; start a new re-drive$"):
        register.register(late.layout.run_file, partition.settings)
    with pytest.raises(ParamsError, match="start a new run"):
        load_run(late.layout.run_file)
    assert staged(partition) == [interrupted]
    assert local.unfinished_run(partition.settings, NAME, PARTITION) == interrupted


def test_an_interrupted_re_drive_of_what_is_published_no_more_is_refused_before_any_work(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = partition.planned()
    partition.publish()
    held = partition.features, partition.quarantine, partition.run

    def worked(*_: object, **__: object) -> None:
        raise AssertionError("it began to work")

    monkeypatch.setattr(local, "prepare_model", worked)
    monkeypatch.setattr(local, "run_steps", worked)
    with pytest.raises(OlderRun, match=rf"re-drive {late.run_id} takes again .*; start a new re-drive$"):
        local.finish_run(late.layout.run_file, partition.settings)
    assert staged(partition) == []
    assert (partition.features, partition.quarantine, partition.run) == held


@pytest.mark.long
def test_a_killed_publication_of_a_re_drive_that_another_run_overtook_goes_with_its_files(
    partition: Partition, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    mend(photos, *SMALL)
    late = partition.ready()
    whole = partition.whole_run()
    with monkeypatch.context() as patch:
        patch.setattr(tables, "replace_files", killed)  # the quarantine is swapped by then
        with pytest.raises(KeyboardInterrupt):
            register.register(late.layout.run_file, partition.settings)
    with monkeypatch.context() as patch:  # the whole run had looked for interrupted ones a moment before
        patch.setattr(publications, "finish_interrupted", lambda *_, **__: None)
        register.register(whole.layout.run_file, partition.settings)
    publications.finish_interrupted(tables.open_catalog(partition.settings), partition.settings)
    partition.check()
    assert partition.run["run_id"] == whole.run_id
    assert staged(partition) == []
    assert not storage.exists(late.layout.publication)


@pytest.mark.long
def test_a_re_drive_that_was_killed_in_plan_can_go_on(
    partition: Partition, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    mend(photos, SMALL[0])
    with monkeypatch.context() as patch:
        patch.setattr(publications, "also_published", killed)  # run.json is written by then
        with pytest.raises(KeyboardInterrupt):
            partition.planned()
    run = load_run(local.unfinished_run(partition.settings, NAME, PARTITION))
    local.run_steps(run, THIS_PROCESS)
    register.register(run.layout.run_file, partition.settings)
    partition.check()
    assert names_of(partition.quarantine) == set(SMALL[1:])
