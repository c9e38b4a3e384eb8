"""The page of a DAG run that has published nothing: its own counts, why it stopped, and that it is under way."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from airflow.utils.state import DagRunState, TaskInstanceState

from imagefeatures import local, stops
from imagefeatures.datasets import Dataset
from imagefeatures.errors import TooManyRejected
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import INGEST, VALIDATE
from imagefeatures.stops import Stop
from support.photos import fill, jpeg
from support.shared import PARTITION, THIS_PROCESS
from support.web import PAGE, Site, dag_run_is, publish, return_from_plan, runs_row

DAG = "features_wrecks"
TASKS = ("plan", "model", INGEST, VALIDATE, "resize", "featurize", "register")


@pytest.fixture
def run(settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> Run:
    """Planned by the DAG run `dag_run`: three objects of which two are no picture."""
    files = {"a.jpg": b"no picture", "b.jpg": b"", "good.jpg": jpeg(1)}
    source = f"file://{fill(tmp_path / 'photos' / PARTITION, files).parent}/{{partition}}/"
    (settings.datasets / "wrecks.yaml").write_text(f"name: wrecks\nsource: {source}\n")
    planned = load_run(plan_run(Dataset(name="wrecks", source=source), RunParams(), PARTITION, settings))
    return_from_plan(DAG, dag_run(request), planned.layout.run_file)
    return planned


def dag_run(request: pytest.FixtureRequest) -> str:
    return f"manual__{re.sub('[^a-z_]', '-', request.node.name)}"


def path(request: pytest.FixtureRequest) -> str:
    return f"/dags/{DAG}/runs/{dag_run(request)}"


def test_a_failed_run_shows_its_own_counts_and_why_it_stopped_beside_what_another_has_published(
    site: Site, settings: Settings, run: Run, request: pytest.FixtureRequest
) -> None:
    publish(settings, runs_row("wrecks", PARTITION, {"CORRUPT": 777}, listed=9_999))
    with pytest.raises(TooManyRejected) as stopped:
        local.run_steps(run, THIS_PROCESS)
    stops.keep(run.layout, Stop(VALIDATE, "TooManyRejected", f"{stopped.value} <b>"))
    ended = {"validate": TaskInstanceState.FAILED, "featurize": TaskInstanceState.UPSTREAM_FAILED}
    dag_run_is(DAG, dag_run(request), DagRunState.FAILED, **ended)
    page = site.page(path(request))
    said = page.text
    assert f"This DAG run failed, and has published nothing of partition {PARTITION}. Failed: validate" in said
    assert f"validate stopped: TooManyRejected {stopped.value} <b>" in said
    assert "b" not in [tag for tag in page.tags if tag == "b"]
    assert "Listed 3" in said
    assert "Rejected so far 2 66.7 %" in said
    steps, reasons, slowest = page.tables
    assert [row[0] for row in steps[1:]] == list(TASKS)
    states = {row[0]: row[1:3] for row in steps[1:]}
    assert states[INGEST] == ["done", "3 of 3"]
    assert states[VALIDATE] == ["failed", "2 of 2"]
    assert states["resize"] == ["not finished", "0 of 1"]
    assert states["featurize"] == ["not reached", "–"]
    assert next(row for row in steps if row[0] == "featurize")[-2] == "–"  # Takes
    assert [row[:3] for row in slowest[1:]] in (
        [["0", INGEST, "3"], ["0", VALIDATE, "2"]],
        [["0", VALIDATE, "2"], ["0", INGEST, "3"]],
    )
    assert "a.jpg UNSUPPORTED_FORMAT" in said  # which, and why
    assert "b.jpg EMPTY_OBJECT" in said
    assert sorted(row[:2] for row in reasons[1:]) == [["EMPTY_OBJECT", "1"], ["UNSUPPORTED_FORMAT", "1"]]
    assert "9,999" not in said
    assert "777" not in said
    links = [value for _, name, value in page.attributes if name == "href"]
    assert f"{path(request)}/tasks/validate" in links  # its log, in Airflow
    assert f"{PAGE}/datasets/wrecks/partitions/{PARTITION}" in links
    assert ("meta", "http-equiv", "refresh") not in page.attributes


def test_what_stopped_a_run_is_for_those_who_may_read_its_logs(
    site: Site, run: Run, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    manager = get_auth_manager()
    may = manager.is_authorized_dag

    def but_no_logs(*, access_entity: DagAccessEntity | None = None, **given: Any) -> bool:
        return access_entity is not DagAccessEntity.TASK_LOGS and may(access_entity=access_entity, **given)

    stops.keep(run.layout, Stop(VALIDATE, "StoreRefused", "a host's name"))
    dag_run_is(DAG, dag_run(request), DagRunState.FAILED, validate=TaskInstanceState.FAILED)
    assert "a host's name" in site.page(path(request)).text
    monkeypatch.setattr(manager, "is_authorized_dag", but_no_logs)
    assert "a host's name" not in site.page(path(request)).text


def test_a_run_under_way_shows_how_far_it_is_and_asks_again(
    site: Site, run: Run, request: pytest.FixtureRequest
) -> None:
    name = dag_run(request)
    dag_run_is(DAG, name, DagRunState.RUNNING)
    said = site.page(path(request)).text
    assert f"This DAG run fills partition {PARTITION}, which is not published yet." in said
    assert "Listed not yet" in said
    local.run_steps(run, THIS_PROCESS, [INGEST])
    page = site.page(path(request))
    assert ("meta", "http-equiv", "refresh") in page.attributes
    assert "Listed 3" in page.text
    states = {row[0]: row[1:3] for row in page.tables[0][1:]}
    assert states[INGEST] == ["done", "3 of 3"]
    assert states[VALIDATE] == ["waits", "0 of 2"]  # its shards are known, and its task has not begun
    assert states["register"] == ["waits", "–"]
    assert "stopped" not in page.text
    assert "Under way" not in page.text
    dag_run_is(DAG, name, DagRunState.RUNNING, validate=TaskInstanceState.RUNNING)
    page = site.page(path(request))
    assert {row[0]: row[1] for row in page.tables[0][1:]}[VALIDATE] == "under way"
    assert "Under way validate 0 of 2 images" in page.text


@pytest.mark.parametrize(
    ("ingest", "validate", "is_told"),
    [
        (TaskInstanceState.UP_FOR_RETRY, None, True),
        (TaskInstanceState.RUNNING, None, False),  # another try
        (TaskInstanceState.SUCCESS, TaskInstanceState.RUNNING, False),
        (TaskInstanceState.SUCCESS, TaskInstanceState.FAILED, False),  # of something else, without a word
        (TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED, True),
    ],
)
def test_an_error_is_told_while_it_stops_the_run(
    site: Site, run: Run, request: pytest.FixtureRequest, ingest: str, validate: str | None, is_told: bool
) -> None:
    stops.keep(run.layout, Stop(INGEST, "StoreError", "no answer for 60 s"))
    has_ended = validate in (TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED)
    tasks = {"ingest": ingest} | ({"validate": validate} if validate else {})
    dag_run_is(DAG, dag_run(request), DagRunState.FAILED if has_ended else DagRunState.RUNNING, **tasks)
    assert ("ingest stopped: StoreError no answer" in site.page(path(request)).text) is is_told


def test_a_run_is_shown_though_its_dataset_file_is_gone(
    site: Site, settings: Settings, run: Run, request: pytest.FixtureRequest
) -> None:
    name = dag_run(request)
    dag_run_is(DAG, name, DagRunState.FAILED, validate=TaskInstanceState.FAILED)
    local.run_steps(run, THIS_PROCESS, [INGEST])
    (settings.datasets / "wrecks.yaml").write_text("name: [\n")
    page = site.page(path(request))
    assert f"wrecks {PARTITION} This DAG run failed" in page.text
    assert "Listed 3" in page.text
    assert "b.jpg EMPTY_OBJECT" in page.text
    login = {"Cookie": f"_token={site.login}"}
    assert "b.jpg" in site.get(f"{PAGE}{path(request)}/rejected.csv", **login).text
    other = site.get(f"{PAGE}/dags/{DAG}/runs/manual__other", **login)
    assert (other.status_code, "fills no dataset" in other.text) == (404, True)


def test_the_page_of_a_run_that_has_published_follows_its_last_tasks(
    site: Site, settings: Settings, run: Run, request: pytest.FixtureRequest
) -> None:
    name = dag_run(request)
    publish(settings, runs_row("wrecks", PARTITION, {"CORRUPT": 1}, run_id=run.layout.run_id))
    done = TaskInstanceState.SUCCESS
    dag_run_is(DAG, name, DagRunState.RUNNING, register=done, statistics=TaskInstanceState.RUNNING)
    page = site.page(path(request))
    assert "This DAG run published this partition." in page.text
    assert ("p", "data-again", "10") in page.attributes
    assert ("meta", "http-equiv", "refresh") in page.attributes
    dag_run_is(DAG, name, DagRunState.SUCCESS)
    page = site.page(path(request))
    assert not [one for one in page.attributes if one[1] == "data-again"]


def test_what_stopped_a_run_comes_not_back_once_its_folder_is_gone(run: Run) -> None:
    assert stops.last(run.layout) is None
    stops.keep(run.layout, Stop("model", "ModelMismatch", "other weights"))
    assert stops.last(run.layout) == Stop("model", "ModelMismatch", "other weights")
    Path(run.layout.stop.removeprefix("file://")).write_text("[]")
    assert stops.last(run.layout) is None
    Path(run.layout.run_file.removeprefix("file://")).unlink()
    Path(run.layout.stop.removeprefix("file://")).unlink()
    stops.keep(run.layout, Stop("model", "ModelMismatch", "other weights"))
    assert not Path(run.layout.stop.removeprefix("file://")).exists()
