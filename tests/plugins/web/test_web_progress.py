"""Progress of a run under way, as the script of its page asks for it: one look for all who watch."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.utils.state import DagRunState, TaskInstanceState

from imagefeatures import manifest, storage
from imagefeatures.datasets import Dataset
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import INGEST, ingest
from support.photos import fill, jpeg
from support.shared import PARTITION
from support.web import PAGE, Page, Site, dag_run_is, publish, request, return_from_plan, runs_row, user

DAG, DAG_RUN = "features_lots", "manual__watched"
FACTS = ("Listed 6", "Rejected so far 1")
PATH = f"{PAGE}/dags/{DAG}/runs/{DAG_RUN}/progress"


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Iterator[Run]:
    """Under way and listed: five photos and a broken one, one a shard."""
    files = {f"{seed}.jpg": jpeg(seed) for seed in range(5)} | {"empty.jpg": b""}
    source = f"file://{fill(tmp_path / 'photos' / PARTITION, files).parent}/{{partition}}/"
    (settings.datasets / "lots.yaml").write_text(f"name: lots\nsource: {source}\n")
    params = RunParams.parse({"shard_images": 1})
    planned = load_run(plan_run(Dataset(name="lots", source=source), params, PARTITION, settings))
    return_from_plan(DAG, DAG_RUN, planned.layout.run_file)
    dag_run_is(DAG, DAG_RUN, DagRunState.RUNNING, ingest=TaskInstanceState.RUNNING)
    manifest.list_source(planned, workers=1)
    yield planned
    _forget_dag_run()


def _forget_dag_run() -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete, text

    with create_session() as session:
        session.execute(text("PRAGMA foreign_keys=OFF"))
        for table in (XComModel, TaskInstance, DagRun):
            session.execute(delete(table).where(table.dag_id == DAG))


def asked(site: Site) -> dict[str, Any]:
    answer = site.get(PATH, Cookie=f"_token={site.login}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()


def of_ingest(said: dict[str, Any]) -> list[str]:
    return next(row for row in Page(said["html"]).tables[0] if row[0] == INGEST)


def test_what_is_done_moves_with_the_receipts_until_the_run_is_over(site: Site, run: Run) -> None:
    first = asked(site)
    assert (first["under_way"], first["planned"]) == (True, True)
    assert of_ingest(first)[1:3] == ["under way", "0 of 6"]
    for shard in range(2, 6):  # the last one is the empty file
        ingest.run_shard(run, shard)
    later = asked(site)
    assert of_ingest(later)[2] == "4 of 6"
    assert of_ingest(later)[1].endswith(" left")  # a rate is known, and with it the time
    assert float(of_ingest(later)[4].replace(",", "")) > 0
    assert "Rejected so far 1" in Page(later["html"]).text
    assert "Slowest shards" in Page(later["html"]).text
    assert len(Page(later["html"]).tables[-1]) == 1 + 4
    page = site.page(f"/dags/{DAG}/runs/{DAG_RUN}")
    assert ("div", "data-follow", PATH) in page.attributes
    assert "noscript" in page.tags
    dag_run_is(DAG, DAG_RUN, DagRunState.SUCCESS)
    assert asked(site)["under_way"] is False
    assert not [name for _, name, _ in site.page(f"/dags/{DAG}/runs/{DAG_RUN}").attributes if name == "data-follow"]


def test_what_is_counted_stays_while_register_removes_the_folder_and_until_its_dag_run_is_over(
    site: Site, run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import looks

    for shard in range(6):
        ingest.run_shard(run, shard)
    before = asked(site)
    storage.delete(run.layout.receipt(INGEST, 5))  # a folder goes file by file
    assert of_ingest(asked(site)) == of_ingest(before)
    storage.delete_folder(run.layout.run)
    gone = asked(site)
    assert gone["under_way"]
    assert of_ingest(gone) == of_ingest(before)
    assert all(fact in Page(gone["html"]).text for fact in FACTS)
    monkeypatch.setattr(looks, "_watched", {})  # another process of the server, which has not looked before
    assert "Listed not yet" in Page(asked(site)["html"]).text
    kept = [{"step": "resize", "shard": 4, "images": 1, "seconds": 3.0}]
    row = {"run_id": run.run_id, "listed": 6, "registered": 5, "slowest": kept}
    publish(settings, runs_row("lots", PARTITION, {"EMPTY_FILE": 1}, **row))
    published = Page(asked(site)["html"])
    assert all(fact in published.text for fact in FACTS)
    assert "EMPTY_FILE" in published.text
    assert published.tables[-1][1:] == [["4", "resize", "1", "3.0 s", "0.3"]]


def test_a_run_that_is_not_planned_yet_can_be_watched_too(site: Site, settings: Settings) -> None:
    (settings.datasets / "lots.yaml").write_text("name: lots\nsource: s3://lots/{partition}/\n")
    return_from_plan(DAG, DAG_RUN, "nothing yet")
    dag_run_is(DAG, DAG_RUN, DagRunState.RUNNING, plan=TaskInstanceState.RUNNING)
    try:
        said = asked(site)
        assert (said["under_way"], said["planned"]) == (True, False)
        assert ("div", "data-planned", "false") in site.page(f"/dags/{DAG}/runs/{DAG_RUN}").attributes
        assert Page(said["html"]).tables[0][1][:2] == ["plan", "under way"]
        assert "Listed not yet" in site.page(f"/dags/{DAG}/runs/{DAG_RUN}").text
    finally:
        _forget_dag_run()


def test_what_stopped_plan_is_on_the_page_though_the_run_has_no_folder(site: Site, settings: Settings) -> None:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    (settings.datasets / "lots.yaml").write_text("name: lots\nsource: s3://lots/{partition}/\n")
    return_from_plan(DAG, DAG_RUN, "none")
    why = {"step": "plan", "kind": "NoInput", "why": "NO_INPUT: s3://lots/2026-11-02/ <b>"}
    with create_session() as session:
        XComModel.set("stopped", why, dag_id=DAG, task_id="plan", run_id=DAG_RUN, session=session)
    dag_run_is(DAG, DAG_RUN, DagRunState.FAILED, plan=TaskInstanceState.FAILED)
    try:
        page = site.page(f"/dags/{DAG}/runs/{DAG_RUN}")
        assert "Failed: plan; that task's log says more." in page.text
        assert "plan stopped: NoInput NO_INPUT: s3://lots/2026-11-02/ <b>" in page.text
        assert "b" not in page.tags
    finally:
        _forget_dag_run()


def test_the_task_plan_keeps_what_stops_it(settings: Settings) -> None:
    from imagefeatures.errors import DatasetError
    from imagefeatures_airflow import tasks

    kept: dict[str, Any] = {}
    with pytest.raises(DatasetError) as error:
        tasks.plan(settings.datasets, "absent", {"partition": PARTITION}, None, None, kept.__setitem__)
    assert kept == {"stopped": {"step": "plan", "kind": "DatasetError", "why": str(error.value)}}


def test_viewers_at_once_share_one_look(site: Site, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from imagefeatures_airflow.web import looks

    monkeypatch.setattr(looks, "FRESH_SECONDS", 60.0)
    begun: list[str] = []
    real = looks.read_status

    def slow(layout: Any, followed: Any) -> Any:
        begun.append(layout.run_id)
        time.sleep(0.5)
        return real(layout, followed)

    monkeypatch.setattr(looks, "read_status", slow)

    async def many() -> list[int]:
        transport = httpx.ASGITransport(site.app, raise_app_exceptions=False)
        login = {"Authorization": f"Bearer {site.login}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow", headers=login) as client:
            return [answer.status_code for answer in await asyncio.gather(*(client.get(PATH) for _ in range(30)))]

    assert asyncio.run(many()) == [200] * 30
    assert len(begun) == 1
    asked(site)
    assert len(begun) == 1


def test_a_store_that_hangs_is_told_in_one_line_and_holds_up_no_other_page(
    site: Site, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import looks

    hung = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(looks, "PAGE_SECONDS", 0.3)
        patch.setattr(looks, "read_status", lambda *_: hung.wait(60) and None)
        try:
            answer = site.get(PATH, Cookie=f"_token={site.login}")
            assert answer.status_code == 503
            assert "The run&#39;s files were not read within 0 s. Check the store of the lake." in answer.text
            assert "lots" in site.page("/").text
        finally:
            hung.set()
    assert asked(site)["under_way"]


def test_only_who_may_see_the_run_may_watch_it(site: Site, run: Run) -> None:
    assert request(site.app, "GET", PATH).status_code == 401
    assert site.get(PATH, Cookie=f"_token={user(site, None).login}").status_code == 403
    return_from_plan("another_dag", DAG_RUN, run.layout.run_file)  # whoever may write a DAG has chosen that
    dag_run_is("another_dag", DAG_RUN, DagRunState.RUNNING)
    answer = site.get(PATH.replace(DAG, "another_dag"), Cookie=f"_token={site.login}")
    assert answer.status_code == 404
    assert "another_dag fills no dataset" in answer.text
    classified = site.get(PATH.replace(DAG, "classify_lots"), Cookie=f"_token={site.login}")
    assert classified.status_code == 404
