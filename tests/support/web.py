"""Airflow's API server application, called without a socket, and rows for the page to show."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from imagefeatures import schemas
from imagefeatures.catalog import tables
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.steps import SPARK_STEPS

PLUGINS = REPOSITORY / "plugins"
PAGE = "/image-features"
START = dt.datetime(2026, 11, 3, 0, 0, 4, tzinfo=dt.UTC)
FINGERPRINT = "63e4fab4295764c4c5a908f0aaaec921"


@dataclass
class Site:
    """Airflow's API server application, called without a socket."""

    app: Any
    login: str  # the token that Airflow's login page hands out

    def get(self, path: str, **headers: str) -> httpx.Response:
        return request(self.app, "GET", path, headers=headers)

    def page(self, path: str = "/", status: int = 200) -> Page:
        """The page as a logged-in user gets it."""
        answer = self.get(PAGE + path, Cookie=f"_token={self.login}")
        assert answer.status_code == status, answer.text
        return Page(answer.text)


@contextlib.contextmanager
def airflow_with_pages(home: Path) -> Iterator[Site]:
    """Airflow's application with a database of its own. Airflow loads the plugin as always. home: an empty folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PLUGINS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "reader:viewer",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "AIRFLOW__API_AUTH__JWT_SECRET": "a secret for the tests alone, as long as the signature wants it " * 2,
        }.items():
            patch.setenv(name, value)
        from airflow import settings
        from airflow.models import import_all_models
        from airflow.models.base import Base

        settings.configure_vars()  # another test may have imported Airflow before
        settings.configure_orm()
        import_all_models()
        Base.metadata.create_all(settings.engine)
        from airflow.api_fastapi.app import create_app

        app = create_app(apps="core")
        password = json.loads((home / "passwords.json").read_text())["reader"]
        login = request(app, "POST", "/auth/token", json={"username": "reader", "password": password})
        yield Site(app, login.json()["access_token"])
        settings.dispose_orm()


class Page(HTMLParser):
    """A parsed page: tags, attributes, words, and tables as lists of rows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.tags, self.attributes, self.words = html, [], [], []
        self.tables: list[list[list[str]]] = []
        self._in_cell = False
        self.feed(html)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._in_cell:
            cells = self.tables[-1][-1]
            cells[-1] = " ".join(f"{cells[-1]} {data}".split())


OUR_SCRIPT = re.compile(rf'<script src="({PAGE}/static/page\.js\?[0-9a-f]{{12}})"></script>')


def runs_only_our_script(page: Page) -> bool:
    """Whether the page has one script, which is our file and has no text of its own."""
    return page.tags.count("script") == page.html.lower().count("<script") == len(OUR_SCRIPT.findall(page.html)) == 1


def request(app: Any, method: str, path: str, **given: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            return await client.request(method, path, **given)

    return asyncio.run(ask())


def runs_row(dataset: str, partition: str, reasons: dict[str, int], **changed: Any) -> dict[str, Any]:
    """A row of features.runs: 1,200 objects listed, a run of 90 seconds."""
    quarantined = sum(reasons.values())
    row = {"partition_key": partition, "dataset": dataset, "run_id": f"run-of-{partition}", "model": "mobilenet_v2"}
    row |= {"listed": 1200, "registered": 1200 - quarantined, "quarantined": quarantined, "reasons": [*reasons.items()]}
    row |= {"started_at": START, "finished_at": START + dt.timedelta(seconds=90), "fingerprint": FINGERPRINT}
    for seconds, step in enumerate(SPARK_STEPS):  # ingest took no time at all
        row |= {f"{step}_seconds": float(seconds), f"{step}_images": 1200, f"{step}_bytes": 5_000_000}
    return row | {"versions": [("pillow", "13.0.0")]} | changed


def publish(settings: Settings, *rows: dict[str, Any]) -> None:
    with tables.open_catalog(settings) as opened:
        tables.open_table(opened, settings, "runs").append(pa.Table.from_pylist(list(rows), schema=schemas.RUNS))


def dataset_file(settings: Settings, name: str, text: str = "source: s3://photos/{partition}/") -> None:
    (settings.datasets / f"{name}.yaml").write_text(f"name: {name}\n{text}\n")


def return_from_plan(dag_id: str, run_id: str, value: str | list[str], conf: dict[str, Any] | None = None) -> None:
    """Store in Airflow's database what the task `plan` returns. conf: with what the DAG run was started."""
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType
    from sqlalchemy import text

    with create_session() as session:
        session.execute(text("PRAGMA foreign_keys=OFF"))  # no task instance, no DAG version: the page needs neither
        session.add(DagRun(dag_id=dag_id, run_id=run_id, run_type=DagRunType.MANUAL, run_after=START, conf=conf))
        session.flush()
        XComModel.set("return_value", value, dag_id=dag_id, task_id="plan", run_id=run_id, session=session)


def dag_run_is(dag_id: str, run_id: str, state: str, map_index: int = -1, **tasks: str) -> None:
    """Store in Airflow's database the state of a DAG run that `return_from_plan` has made, and of some of its tasks.

    map_index: of the tasks, where there is one for each partition.
    """
    import uuid

    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import insert, text, update

    with create_session() as session:
        session.execute(text("PRAGMA foreign_keys=OFF"))
        session.execute(update(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id).values(state=state))
        for task_id, of_task in tasks.items():
            row = {"id": uuid.uuid4(), "dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
            tries = 0 if of_task == TaskInstanceState.UPSTREAM_FAILED else 1  # which has a start and an end too
            row |= {"try_number": tries, "start_date": START, "end_date": START + dt.timedelta(seconds=30)}
            row |= {"state": of_task, "pool": "default_pool", "pool_slots": 1, "executor_config": {}}
            session.execute(insert(TaskInstance).values(**row))


def user(site: Site, role: str | None) -> Site:
    """The same application for a user with this role of Airflow's simple auth manager, whose name is the role's."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    of_manager = SimpleAuthManagerUser(username=role or "nobody", role=role)
    return Site(site.app, get_auth_manager().generate_jwt(of_manager))


@contextlib.contextmanager
def known_to_airflow(settings: Settings) -> Iterator[None]:
    """The DAGs of the dataset files in Airflow's database, as its DAG processor writes them. Runs go afterwards."""
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.db import synchronize_log_template
    from airflow.utils.session import create_session
    from sqlalchemy import delete, text

    import imagefeatures_airflow

    folder = settings.datasets
    dags = [*imagefeatures_airflow.feature_dags(folder).values(), *imagefeatures_airflow.redrive_dags(folder).values()]
    for dag in dags:
        dag.fileloc, dag.relative_fileloc = str(REPOSITORY / "dags" / "image_features.py"), "image_features.py"
    with create_session() as session:
        synchronize_log_template(session=session)  # as a migration does: a run names one
        session.merge(DagBundleModel(name="dags-folder"))
        session.flush()
        serialized = [LazyDeserializedDAG.from_dag(dag) for dag in dags]
        update_dag_parsing_results_in_db("dags-folder", None, serialized, {}, None, set(), session=session)
    try:
        yield
    finally:
        with create_session() as session:
            session.execute(text("PRAGMA foreign_keys=OFF"))
            for table in (XComModel, DagRun):  # another run gets the same number: what a run has left must go first
                session.execute(delete(table).where(table.dag_id.in_([dag.dag_id for dag in dags])))
