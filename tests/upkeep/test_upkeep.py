"""What upkeep removes besides snapshots, and when; what it says of it; and that a dry run changes nothing."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagefeatures.cli import main
from imagefeatures.errors import CatalogRefused, ParamsError
from imagefeatures.settings import Ages, Settings, SettingsError
from imagefeatures.upkeep import work
from imagefeatures_airflow import upkeep_tasks
from imagefeatures_airflow.retries import RefuseInputErrors
from support.growing import folder_of
from support.histories import DAYS, History

Write = Callable[[str, float], Path]

RUN = "20261001T000000-0a1b2c3d"
STRAY = f"warehouse/features/photos/data/partition_key={DAYS[0]}/{RUN}-shard-00000-0a1b2c3d.parquet"
COMPACTED = f"warehouse/features/photos/data/partition_key={DAYS[0]}/00000-7-0a1b-0-00001.parquet"
STAGED = f"staging/photos/{DAYS[0]}/{RUN}"
REJECT = f"quarantine/photos/{DAYS[0]}/CORRUPT/{'ab' * 32}"
MODEL = f"models/{'0f' * 16}"


def upkeep(history: History, *, dry_run: bool = False) -> dict[str, int]:
    """How many of each kind upkeep has removed. The files of the lake have the history's time afterwards."""
    report = work.upkeep(history.settings, dry_run=dry_run, now=history.now)
    assert report.refused == []
    return {line.what: line.count for line in report.kinds if line.count}


def test_a_file_of_no_snapshot_goes_after_its_days(history: History, write: Write) -> None:
    files = [write(path, 6.9) for path in (STRAY, COMPACTED, "warehouse/features/photos/metadata/old-m0.avro")]
    assert upkeep(history) == {}
    assert all(file.exists() for file in files)
    history.now += dt.timedelta(days=0.2)
    assert upkeep(history) == {"files of no snapshot": 3}
    assert not any(file.exists() for file in files)


def test_what_killed_processes_had_begun_to_write_goes_after_a_day_wherever_it_is(history: History) -> None:
    folders = (
        "staging/photos/x", "known/images", "quarantine/photos/x", "exports/a", "maps/photos", "forgotten/list",
        "models/0f", "publishing/x", "warehouse/learning/x",
    )  # fmt: skip
    begun = {name: history.lake / name / ".draft-0123456789abcdef" for name in folders}
    young = history.lake / "exports/b" / ".draft-fedcba9876543210"
    for path in (*begun.values(), young):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"abc")
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    os.utime(young, (time.time() - 23 * 3600,) * 2)
    assert upkeep(history, dry_run=True)["unfinished uploads"] == len(folders)
    assert all(path.exists() for path in begun.values())
    assert upkeep(history)["unfinished uploads"] == len(folders)
    assert not any(path.exists() for path in begun.values())
    assert young.exists()
    assert "unfinished uploads" not in upkeep(history)


def test_a_run_that_waits_keeps_its_files_until_it_is_given_up(history: History, write: Write) -> None:
    stray, staged = write(STRAY, 29), write(f"{STAGED}/run.json", 29)
    for path in (f"{STAGED}/resize/shard-00000.json", "staging/notes.txt", "staging/photos/x/run.json"):
        write(path, 29)
    assert upkeep(history) == {}
    history.now += dt.timedelta(days=2)
    assert upkeep(history) == {"unfinished runs": 1, "files of no snapshot": 1}
    assert not stray.exists()
    assert not staged.parent.exists()
    assert (history.lake / "staging/notes.txt").exists()


@pytest.mark.long
def test_a_run_that_went_on_is_not_given_up(history: History, write: Write) -> None:
    write(STRAY, 90)
    staged = write(f"{STAGED}/run.json", 90)
    write(f"{STAGED}/resize/shard-00000.json", 1)
    assert upkeep(history) == {}
    assert staged.exists()


@pytest.mark.long
def test_the_files_of_a_publication_that_is_written_down_stay(history: History, write: Write) -> None:
    stray, staged = write(STRAY, 90), write(f"{STAGED}/run.json", 90)
    write(f"publishing/{RUN}/publication.json", 90)
    assert upkeep(history) == {}
    assert stray.exists()
    assert staged.exists()


@pytest.mark.long
def test_predictions_stay_as_long_as_their_classifier_is_young(history: History, write: Write) -> None:
    """The namespace has no table, so nothing there is swept; the names of the files are those that count."""
    stray = write(STRAY.replace(RUN, "0a" * 8), 20)
    job = write(f"learning/photos/{'0a' * 8}/job.json", 20)
    assert upkeep(history) == {}
    history.now += dt.timedelta(days=11)
    assert upkeep(history) == {"files of no snapshot": 1}
    assert job.exists()
    assert not stray.exists()


@pytest.mark.long
def test_rejects_and_models_go_by_age_and_only_those(history: History, write: Write) -> None:
    reject, model = write(REJECT, 364), write(f"{MODEL}/model.json", 89)
    used = write(f"{MODEL.replace('0f', '1f')}/model.json", 400)
    write(f"{STAGED}/run.json", 1).write_text(f'{{"fingerprint": "{"1f" * 16}", "others": []}}')
    records = [write(f"models/{name}/weights.json", 900) for name in ("mobilenet_v2", "described")]
    other = write("quarantine/readme.txt", 900)
    assert upkeep(history) == {}
    history.now += dt.timedelta(days=1.5)
    assert upkeep(history) == {"kept rejects": 1, "prepared models": 1}
    assert not reject.exists()
    assert not model.exists()
    assert all(path.exists() for path in [used, other, *records])


@pytest.mark.long
def test_the_model_of_the_newest_run_of_each_dataset_stays(history: History, write: Write) -> None:
    rows = history.table("runs").scan().to_arrow()
    assert set(rows["fingerprint"].to_pylist()) == {"x"}
    history.now += dt.timedelta(days=400)
    made = work._Work(history.settings, history.table().catalog, work.Report(done=False), history.now)
    assert made._used_fingerprints(history.now.timestamp()) == {"x"}


@pytest.mark.long
def test_what_the_page_keeps_goes_when_nobody_looks_at_it(
    history: History, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(history.lake / "cache"))
    history.settings = Settings.from_env()
    thumbnail = write("cache/thumbnails/photos/ab/abcd.jpg", 31)
    young = write("cache/thumbnails/photos/cd/cdef.jpg", 29)
    facts = write(f"cache/audits/photos/{DAYS[0]}/{RUN}/facts.json", 31)
    assert upkeep(history)["thumbnails and audits of this machine"] == 1
    assert (thumbnail.exists(), young.exists(), facts.exists()) == (False, True, True)


def test_a_dry_run_says_the_same_and_changes_nothing(history: History, write: Write) -> None:
    for path in (STRAY, COMPACTED, f"{STAGED}/run.json", REJECT, f"{MODEL}/model.json"):
        write(path, 1000)
    history.now += dt.timedelta(days=40)
    history.publish(DAYS[0])
    history.date_files()
    history.now += dt.timedelta(days=40)
    before = {path: path.stat().st_mtime for path in history.lake.rglob("*") if path.is_file()}
    looked = upkeep(history, dry_run=True)
    assert {path: path.stat().st_mtime for path in history.lake.rglob("*") if path.is_file()} == before
    assert looked["snapshots"] > 0
    assert looked["files of these snapshots"] > 0
    assert looked["files of no snapshot"] == 2
    assert upkeep(history) == looked
    assert all(not path.exists() or path.stat().st_mtime == before[path] for path in before if path.suffix != ".db")
    assert upkeep(history).keys() <= {"files of no snapshot"}  # metadata that the last one replaced


def test_command_and_task_print_a_table_and_say_what_they_left(
    settings: Settings, history: History, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upkeep", "--dry-run"]) == 0
    assert capsys.readouterr().out == "would be removed: nothing\n"
    write(STRAY, 10)  # the command has the clock of this machine
    assert upkeep_tasks.upkeep({"dry_run": True})["files of no snapshot"] == {"count": 1, "bytes": 3}
    scheduled: Any = SimpleNamespace(run_type="scheduled")
    write("warehouse/features/runs/metadata/00009-ab.metadata.json", 10)
    with pytest.raises(CatalogRefused, match=r"^features\.runs: file://.*00009-ab\.metadata\.json cannot be read"):
        upkeep_tasks.upkeep({"dry_run": True}, scheduled)
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in said[-3:-1]] == [["removed:", "0.0", "MB"], ["files", "of", "no", "snapshot"]]
    assert said[-1].startswith("  left as it is: features.runs: ")
    assert main(["upkeep"]) == 1
    assert not (history.lake / STRAY).exists()
    assert (folder_of(history.table("runs")) / "metadata/00009-ab.metadata.json").exists()


def test_the_dag_is_weekly_looks_first_and_has_a_safe_default() -> None:
    from imagefeatures_airflow.upkeep import upkeep_dag

    dag = upkeep_dag()
    look, remove = dag.topological_sort()
    assert (look.task_id, remove.task_id) == ("look", "remove")
    assert type(remove.retry_policy) is RefuseInputErrors
    assert (dag.dag_id, dag.max_active_runs, dag.is_paused_upon_creation) == ("upkeep", 1, True)
    assert dag.timetable.can_be_scheduled
    assert dag.params["dry_run"] is True
    with pytest.raises(ParamsError, match=r"^dry_runs: "):
        upkeep_tasks.upkeep({"dry_runs": False})


def test_how_long_things_stay_are_settings() -> None:
    lake = {"IMAGEFEATURES_LAKE": "file:///lake"}
    assert Settings.from_env(lake).ages == Ages(strays=7, staging=30, rejects=365, models=90, caches=30)
    own = {f"IMAGEFEATURES_KEEP_{name}_DAYS": str(at) for at, name in enumerate(("STRAYS", "STAGING", "MODELS"), 2)}
    assert Settings.from_env(lake | own).ages == Ages(strays=2, staging=3, rejects=365, models=4, caches=30)
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_KEEP_STRAYS_DAYS: '0' is not a whole number from 1"):
        Settings.from_env(lake | {"IMAGEFEATURES_KEEP_STRAYS_DAYS": "0"})
    Settings.from_env(lake | {"IMAGEFEATURES_KEEP_DAYS": "999999"})


@pytest.mark.usefixtures("settings")
def test_a_lake_that_does_not_exist_yet_has_nothing_and_is_not_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upkeep"]) == 0
    assert capsys.readouterr().out == "removed: nothing\n"
