"""The page of a re-drive's DAG run: its tasks, its partitions, why some were not taken; the last run of a dataset."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from airflow.utils.state import DagRunState, TaskInstanceState

from imagefeatures import manifest, stops, storage
from imagefeatures.datasets import Dataset
from imagefeatures.layout import Layout
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import STEPS, ingest
from imagefeatures.stops import Stop
from support.photos import fill, jpeg
from support.web import PAGE, Page, Site, dag_run_is, dataset_file, publish, request, return_from_plan, runs_row, user

DAYS = ("2026-11-02", "2026-11-03", "2026-11-04")
TASKS = ["plan", "model", *STEPS, "statistics", "left_out"]
DONE = dict.fromkeys((f"partition.{name}" for name in TASKS[1:-1]), TaskInstanceState.SUCCESS)


def layouts(settings: Settings, dataset: str, days: tuple[str, ...] = DAYS) -> list[Layout]:
    return [Layout(settings.lake, dataset, day, f"redrive-of-{day}") for day in days]


def keep_left_out(dag_id: str, run_id: str, value: dict[str, str]) -> None:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        XComModel.set("left_out", value, dag_id=dag_id, task_id="plan", run_id=run_id, session=session)


def states(page: Page, table: int) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in page.tables[table][1:]}


def test_a_re_drive_under_way_shows_its_tasks_and_partitions_and_is_followed(site: Site, settings: Settings) -> None:
    dag, run = "redrive_cherries", "manual__1"
    publish(settings, *(runs_row("cherries", day, {"CORRUPT": 9}) for day in DAYS[1:]))
    publish(settings, runs_row("cherries", DAYS[0], {"CORRUPT": 2}, redriven=7, run_id=f"redrive-of-{DAYS[0]}"))
    return_from_plan(dag, run, [of.run_file for of in layouts(settings, "cherries")])
    dag_run_is(dag, run, DagRunState.RUNNING, plan="success", left_out="success")
    dag_run_is(dag, run, DagRunState.RUNNING, 0, **DONE)
    dag_run_is(
        dag,
        run,
        DagRunState.RUNNING,
        1,
        **{"partition.model": "success", "partition.ingest": "failed", "partition.validate": "upstream_failed"},
    )
    dag_run_is(dag, run, DagRunState.RUNNING, 2, **{"partition.model": "success", "partition.ingest": "running"})
    page = site.page(f"/dags/{dag}/runs/{run}")
    assert "cherries re-drive This DAG run is a re-drive: it takes quarantined objects again" in page.text
    tasks = states(page, 0)
    assert list(tasks) == TASKS
    assert tasks["plan"] == ["done", "30 s", "Log of plan"]
    assert tasks["model"] == ["3 done", "30 s", "–"]
    assert tasks["ingest"] == ["1 done, 1 failed, 1 under way", "30 s", "–"]
    assert tasks["validate"] == ["1 done, 1 not reached, 1 waits", "30 s", "–"]
    assert tasks["statistics"] == ["2 waits, 1 done", "30 s", "–"]
    assert list(states(page, 1).items()) == [
        (DAYS[1], ["failed", "ingest", "–", "30 s", f"Log of ingest of {DAYS[1]}", "–", "–", "–"]),
        (DAYS[2], ["under way", "ingest", "–", "30 s", f"Log of ingest of {DAYS[2]}", "–", "–", "–"]),
        (DAYS[0], ["done", "register", "–", "30 s", f"Log of register of {DAYS[0]}", "7", "1,198", "2"]),
    ]
    links = [value for _, name, value in page.attributes if name == "href"]
    assert f"/dags/{dag}/runs/{run}/tasks/partition.ingest/mapped/1" in links
    assert f"/dags/{dag}/runs/{run}/tasks/left_out" in links
    assert f"{PAGE}/datasets/cherries/partitions/{DAYS[1]}" in links
    followed = f"{PAGE}/dags/{dag}/runs/{run}/progress"
    assert ("div", "data-follow", followed) in page.attributes
    assert ("meta", "http-equiv", "refresh") in page.attributes
    said = site.get(followed, Cookie=f"_token={site.login}").json()
    assert (said["under_way"], said["planned"]) == (True, True)
    assert Page(said["html"]).tables == page.tables
    dag_run_is(dag, run, DagRunState.SUCCESS)
    assert site.get(followed, Cookie=f"_token={site.login}").json()["under_way"] is False
    assert "data-follow" not in site.page(f"/dags/{dag}/runs/{run}").html


def test_of_partitions_under_way_the_page_says_how_far_they_are(site: Site, settings: Settings, tmp_path: Path) -> None:
    dag, run = "redrive_plums", "manual__1"
    source = f"file://{fill(tmp_path / DAYS[0], {f'{n}.jpg': jpeg(n) for n in range(4)}).parent}/{{partition}}/"
    dataset_file(settings, "plums", f"source: {source}")
    params = RunParams.parse({"shard_images": 1})
    planned = load_run(plan_run(Dataset(name="plums", source=source), params, DAYS[0], settings))
    manifest.list_source(planned, workers=1)
    return_from_plan(dag, run, [planned.layout.run_file])
    dag_run_is(dag, run, DagRunState.RUNNING, plan="success")
    dag_run_is(dag, run, DagRunState.RUNNING, 0, **{"partition.model": "success", "partition.ingest": "running"})
    for shard in range(3):
        ingest.run_shard(planned, shard)
    done = states(site.page(f"/dags/{dag}/runs/{run}"), 1)[DAYS[0]][2]
    assert re.fullmatch(r"3 of 4 [\d.,]+ a second, \d+ s left", done), done
    storage.delete_folder(planned.layout.run)


def test_a_failed_re_drive_says_what_failed_and_why(
    site: Site, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag, run = "redrive_wrecks", "manual__1"
    source = f"file://{fill(tmp_path / DAYS[0], {'a.jpg': jpeg(1)}).parent}/{{partition}}/"
    dataset_file(settings, "wrecks", f"source: {source}")
    planned = load_run(plan_run(Dataset(name="wrecks", source=source), RunParams(), DAYS[0], settings))
    stops.keep(planned.layout, Stop("featurize", "StoreRefused", "a host's name <b>"))
    return_from_plan(dag, run, [planned.layout.run_file, "file:///elsewhere/run.json"])
    keep_left_out(dag, run, {DAYS[2]: "ParamsError: another fingerprint <b>"})
    dag_run_is(dag, run, DagRunState.FAILED, plan="success", left_out="failed")
    dag_run_is(dag, run, DagRunState.FAILED, 0, **{**DONE, "partition.featurize": "failed"})
    page = site.page(f"/dags/{dag}/runs/{run}")
    assert "plan has chosen. It failed: 1 of 1 partitions, 1 left out." in page.text
    assert ("p", "class", "note bad") in page.attributes
    assert f"{DAYS[0]} featurize stopped: StoreRefused a host's name <b>" in page.text
    assert f"{DAYS[2]} left out: ParamsError: another fingerprint <b>" in page.text
    assert "b" not in page.tags
    assert states(page, 0)["featurize"] == ["failed", "30 s", "Log of featurize"]
    assert [(key, row[:2]) for key, row in states(page, 1).items()] == [
        (DAYS[0], ["failed", "featurize"]),
        (DAYS[2], ["left out", "left_out"]),
    ]
    assert "data-follow" not in page.html
    stops.keep(planned.layout, Stop("resize", "StoreRefused", "an earlier try"))
    assert "an earlier try" not in site.page(f"/dags/{dag}/runs/{run}").text
    stops.keep(planned.layout, Stop("featurize", "StoreRefused", "a host's name"))
    _allow_no_logs(monkeypatch)
    hidden = site.page(f"/dags/{dag}/runs/{run}")
    assert "a host's name" not in hidden.text
    assert "another fingerprint" not in hidden.text
    assert states(hidden, 1)[DAYS[2]][0] == "left out"
    storage.delete_folder(planned.layout.run)
    assert "It failed" in site.page(f"/dags/{dag}/runs/{run}").text


def _allow_no_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    manager = get_auth_manager()
    may = manager.is_authorized_dag

    def but_no_logs(*, access_entity: DagAccessEntity | None = None, **given: Any) -> bool:
        return access_entity is not DagAccessEntity.TASK_LOGS and may(access_entity=access_entity, **given)

    monkeypatch.setattr(manager, "is_authorized_dag", but_no_logs)


def test_a_re_drive_without_partitions_says_how_it_ended(site: Site, settings: Settings) -> None:
    publish(settings, runs_row("sloes", DAYS[0], {}, redriven=7))
    path = "/dags/redrive_sloes/runs/manual__1"
    assert "Airflow knows no run of this name." in site.page(path).text
    return_from_plan("redrive_sloes", "manual__1", "nothing yet")
    dag_run_is("redrive_sloes", "manual__1", DagRunState.RUNNING, plan="running", **{"partition.ingest": ""})
    page = site.page(path)
    assert ("div", "data-planned", "false") in page.attributes
    assert [row[:2] for row in page.tables[0][1:4]] == [["plan", "under way"], ["model", "waits"], ["ingest", "waits"]]
    assert len(page.tables) == 1
    return_from_plan("redrive_sloes", "manual__2", [])
    dag_run_is("redrive_sloes", "manual__2", DagRunState.SUCCESS, plan="success", **{"partition.ingest": "skipped"})
    page = site.page("/dags/redrive_sloes/runs/manual__2")
    assert "It has ended, and changed no partition." in page.text
    assert states(page, 0)["ingest"][0] == "skipped"
    dag_run_is("redrive_sloes", "manual__1", DagRunState.FAILED)
    assert "plan has chosen. It failed." in site.page(path).text
    assert "redrive_other fills no dataset" in site.page("/dags/redrive_other/runs/manual__1", 404).text
    assert "Taken again 7" in site.page(f"/datasets/sloes/partitions/{DAYS[0]}").text


def test_a_re_drive_of_many_partitions_shows_those_that_failed_first(site: Site, settings: Settings) -> None:
    dataset_file(settings, "elders")
    days = tuple(f"{2020 + at // 12}-{at % 12 + 1:02}-01" for at in range(120))
    return_from_plan("redrive_elders", "manual__1", [of.run_file for of in layouts(settings, "elders", days)])
    dag_run_is("redrive_elders", "manual__1", DagRunState.RUNNING, 3, **{"partition.ingest": "failed"})
    page = site.page("/dags/redrive_elders/runs/manual__1")
    assert "Partitions of this run 100 of 120" in page.text
    assert list(states(page, 1))[:3] == [days[3], days[119], days[118]]
    assert len(states(page, 1)) == 100
    assert states(page, 0)["ingest"][0] == "119 waits, 1 failed"


def test_only_who_may_see_a_re_drive_may_watch_it(site: Site, settings: Settings) -> None:
    dataset_file(settings, "rowans")
    path = f"{PAGE}/dags/redrive_rowans/runs/manual__1/progress"
    assert request(site.app, "GET", path).status_code == 401
    assert site.get(path, Cookie=f"_token={user(site, None).login}").status_code == 403
    assert site.get(path, Cookie=f"_token={site.login}").json()["under_way"] is False
    unknown = site.get(path.replace("rowans", "other"), Cookie=f"_token={site.login}")
    assert unknown.status_code == 200  # as of a dataset's DAG without a run: it says nothing
    assert "2026" not in unknown.text


def test_the_last_run_of_a_dataset_is_the_newest_of_its_runs_and_re_drives(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings, runs_row("medlars", DAYS[0], {}))
    return_from_plan("features_medlars", "manual__1", layouts(settings, "medlars")[0].run_file)
    dag_run_is("features_medlars", "manual__1", DagRunState.SUCCESS)
    assert f"Last run: success {DAYS[0]} " in site.page("/datasets/medlars").text
    for run, days, state, told in (
        ("manual__2", DAYS[:1], DagRunState.FAILED, f"failed re-drive of {DAYS[0]} "),
        ("manual__3", DAYS, DagRunState.RUNNING, "running re-drive "),
    ):
        return_from_plan("redrive_medlars", run, [of.run_file for of in layouts(settings, "medlars", days)])
        dag_run_is("redrive_medlars", run, state)
        page = site.page("/datasets/medlars")
        assert f"Last run: {told}" in page.text
        assert ("re-drive of" in page.text) is (len(days) == 1)
        assert ("a", "href", f"{PAGE}/dags/redrive_medlars/runs/{run}") in page.attributes
        assert f'/runs/{run}">{state}</a> <small>re-drive' in site.page("/").html
    assert "under way" not in page.text  # a square is of a run that fills the whole partition
    return_from_plan("features_medlars", "manual__4", layouts(settings, "medlars")[1].run_file)
    dag_run_is("features_medlars", "manual__4", DagRunState.QUEUED)
    assert f"Last run: queued {DAYS[1]} " in site.page("/datasets/medlars").text
    return_from_plan("redrive_medlars", "manual__5", [])
    assert "re-drive" in site.page("/datasets/medlars").text
    _allow_no_re_drives(monkeypatch)
    said = site.page("/datasets/medlars").text
    assert f"Last run: queued {DAYS[1]} " in said
    assert "re-drive" not in said


def _allow_no_re_drives(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    manager = get_auth_manager()
    may = manager.is_authorized_dag

    def but_those(*, details: Any = None, **given: Any) -> bool:
        return not str(details and details.id).startswith("redrive_") and may(details=details, **given)

    monkeypatch.setattr(manager, "is_authorized_dag", but_those)
