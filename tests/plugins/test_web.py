"""The web page, inside Airflow's own application: guarded on every route, escaped, and right."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import doctest
import hashlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

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
NAUGHTY = """<img src=x onerror="alert(1)">'&quot;"""
SECRET = "s3cret-canary"


@dataclass
class Site:
    """Airflow's API server application, spoken to without a socket."""

    app: Any
    login: str  # the token that Airflow's login page gives

    def get(self, path: str, **headers: str) -> httpx.Response:
        return _request(self.app, "GET", path, headers=headers)

    def page(self, path: str = "/", status: int = 200) -> Page:
        """A page as a logged-in user gets it."""
        answer = self.get(PAGE + path, Cookie=f"_token={self.login}")
        assert answer.status_code == status, answer.text
        return Page(answer.text)


class Page(HTMLParser):
    """What a browser would make of the page: tags, attributes, texts, and tables as lists of rows."""

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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Airflow's application on a database of its own, with the plugin loaded the way Airflow does."""
    home = tmp_path_factory.mktemp("airflow")
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

        settings.configure_vars()  # should another test have imported Airflow before
        settings.configure_orm()
        import_all_models()
        Base.metadata.create_all(settings.engine)
        from airflow.api_fastapi.app import create_app

        app = create_app(apps="core")
        password = json.loads((home / "passwords.json").read_text())["reader"]
        login = _request(app, "POST", "/auth/token", json={"username": "reader", "password": password})
        yield Site(app, login.json()["access_token"])
        settings.dispose_orm()
    settings.configure_vars()  # as other tests left it
    settings.configure_orm()


def _request(app: Any, method: str, path: str, **given: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            return await client.request(method, path, **given)

    return asyncio.run(ask())


@pytest.fixture
def plugin_app(site: Site) -> Any:
    """The plugin's own application, as it is mounted in Airflow's."""
    return next(route.app for route in site.app.routes if getattr(route, "path", "") == PAGE)


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


# Who gets in


def test_anonymous_gets_401_on_every_route(site: Site, plugin_app: Any) -> None:
    assert len(plugin_app.routes) >= 4
    for route in plugin_app.routes:
        path = PAGE + re.sub(r"\{.*?\}", "features_x", route.path)
        for method in getattr(route, "methods", None) or {"GET"}:
            answer = _request(site.app, method, path)
            assert (answer.status_code, answer.text) == (401, '{"detail":"Not authenticated"}'), (method, path)


def test_there_are_no_documentation_routes(site: Site) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert site.get(PAGE + path, Authorization=f"Bearer {site.login}").status_code == 404


def test_a_login_opens_the_page_by_cookie_and_by_header_and_a_forged_one_does_not(
    site: Site, settings: Settings
) -> None:
    unsigned, altered = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZWFkZXIiLCJyb2xlIjoiYWRtaW4ifQ.", site.login[:-8] + "AAAAAAAA"
    for token, statuses in ((site.login, {200}), ("", {401}), (unsigned, {401, 403}), (altered, {401, 403})):
        assert site.get(PAGE + "/", Cookie=f"_token={token}").status_code in statuses
        assert site.get(PAGE + "/", Authorization=f"Bearer {token}").status_code in statuses


def test_a_user_without_rights_on_a_dag_does_not_see_its_dataset(site: Site, settings: Settings) -> None:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    dataset_file(settings, "pears")
    dataset_file(settings, "broken", "pattern: []")
    publish(settings, runs_row("pears", "2026-11-02", {}))
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="nobody", role=None))
    stranger = Site(site.app, token)
    index = stranger.page()
    assert "There is no dataset yet, or none that you may see." in index.text
    assert "pears" not in index.html + index.text
    assert "broken.yaml" not in index.text
    stranger.page("/datasets/pears", 404)
    stranger.page("/datasets/pears/partitions/2026-11-02", 404)
    assert stranger.get(PAGE + "/dags/features_pears/runs/x", Cookie=f"_token={token}").status_code == 403
    assert "pears" in site.page().text


# What is sent


def test_the_page_may_load_nothing_and_run_nothing(site: Site, settings: Settings) -> None:
    answer = site.get(PAGE + "/", Cookie=f"_token={site.login}")
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'self'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_whatever_stands_in_the_tables_is_text(site: Site, settings: Settings) -> None:
    dataset_file(settings, "broken", f"source: s3://photos/\nlabel: '{NAUGHTY.replace(chr(39), chr(39) * 2)}('")
    dataset_file(settings, "fruit", "source: 's3://photos/<script>alert(1)</script>/{partition}/'")
    ours = {"run_id": NAUGHTY, "fingerprint": NAUGHTY, "model": NAUGHTY, "versions": [(NAUGHTY, NAUGHTY)]}
    publish(settings, runs_row(NAUGHTY, NAUGHTY, {NAUGHTY: 3}, **ours))
    name = quote(NAUGHTY, safe="")
    for page in (
        index := site.page(),
        site.page("/datasets/fruit"),
        site.page(f"/datasets/{name}"),
        site.page(f"/datasets/{name}/partitions/{name}"),
        site.page("/datasets/%3Cscript%3Ealert(1)", 404),
        site.page("/dags/%3Cscript%3Ealert(1)/runs/x", 404),
    ):
        assert not {"script", "img", "iframe", "form", "object", "link", "base"} & set(page.tags)
        assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
        assert all(value.startswith(PAGE + "/") for _, name, value in page.attributes if name in ("href", "src"))
    assert index.text.count(NAUGHTY) >= 6  # dataset, twice its reason, section, partition, run
    assert ("code", "title", NAUGHTY) in index.attributes
    assert ("a", "href", f"{PAGE}/datasets/{name}/partitions/{name}") in index.attributes
    assert "broken.yaml: label: " in index.text


def test_tables_can_be_read_aloud(site: Site, settings: Settings) -> None:
    dataset_file(settings, "fruit")
    publish(settings, runs_row("fruit", "2026-11-02", {"CORRUPT": 3}))
    for path in ("/", "/datasets/fruit", "/datasets/fruit/partitions/2026-11-02"):
        page = site.page(path)
        assert page.tags.count("table") == page.tags.count("caption") > 0
        assert page.tags.count("th") == sum(tag == "th" and name == "scope" for tag, name, _ in page.attributes)


# What it says


def test_the_first_page_has_totals_and_the_latest_partitions(site: Site, settings: Settings) -> None:
    dataset_file(settings, "fruit")
    dataset_file(settings, "herbs", "source: s3://herbs/\nstart_date: 2026-10-05")
    dataset_file(settings, "broken", "pattern: []")
    days = [f"2026-11-{day:02}" for day in range(1, 13)]
    reasons = {"2026-11-12": {"CORRUPT": 2, "TRUNCATED": 1}, "2026-11-01": {"TRUNCATED": 5}}
    publish(settings, *(runs_row("fruit", day, reasons.get(day, {})) for day in days))
    page = site.page()
    totals, latest = page.tables
    assert totals[1] == [
        "fruit", "12", "14,400", "14,392", "8", "<0.1 %", "6 TRUNCATED 2 CORRUPT", "2026-11-12", "2026-11-03 00:01 UTC",
    ]  # fmt: skip
    assert totals[2] == ["herbs", "0", "0", "0", "0", "–", "nothing published yet"]
    assert [row[0] for row in latest[2:]] == days[:1:-1]
    assert latest[2] == [
        "2026-11-12", "1,200", "1,197", "3", "2 CORRUPT 1 TRUNCATED", "–", "1,200", "600", "400", "90 s",
        "2026-11-03 00:01 UTC run-of-2026-11-12", "63e4fab4",
    ]  # fmt: skip
    assert "All 12 partitions of fruit" in page.text
    assert "Malformed dataset file broken.yaml: source: is required; pattern: List should have" in page.text
    assert "airflow backfill create --dag-id features_herbs --from-date 2026-10-05 --to-date 2026-10-05" in page.text


def test_the_page_of_a_dataset_has_all_its_partitions(site: Site, settings: Settings) -> None:
    days = [f"2026-11-{day:02}" for day in range(1, 13)]
    publish(settings, *(runs_row("fruit", day, {}) for day in days), runs_row("herbs", "2026-11-01", {}))
    page = site.page("/datasets/fruit")
    assert [row[0] for row in page.tables[0][2:]] == days[::-1]
    assert "There is no dataset file of this name any more" in page.text
    assert "There is no dataset nuts" in site.page("/datasets/nuts", 404).text


def test_the_page_of_a_partition_says_where_the_time_went(site: Site, settings: Settings) -> None:
    publish(settings, runs_row("fruit", "2026-11-02", {"CORRUPT": 1, "TRUNCATED": 2}, reused=399))
    page = site.page("/datasets/fruit/partitions/2026-11-02")
    steps, quarantined = page.tables
    assert [row[0] for row in steps[1:]] == list(SPARK_STEPS)
    assert steps[3] == ["resize", "1,200", "2.0 s", "", "600", "5.0 MB"]
    assert [row[:2] for row in quarantined[1:]] == [["TRUNCATED", "2"], ["CORRUPT", "1"]]
    assert "Registered 1,197 99.8 % Reused 399 33.3 %" in page.text
    assert FINGERPRINT in page.text
    assert "nothing published for partition 2026-12-24" in site.page("/datasets/fruit/partitions/2026-12-24", 404).text


def test_the_page_of_a_dag_run_finds_the_partition_that_was_planned(site: Site, settings: Settings) -> None:
    publish(settings, runs_row("fruit", "2026-11-02", {}))
    runs = {"own": "2026-11-02/run-of-2026-11-02", "other": "2026-11-02/other-run", "running": "2026-11-05/a-run"}
    for dag_run, folder in runs.items():
        run_file = f"{settings.lake}/staging/fruit/{folder}/run.json"
        _return_from_plan("features_fruit", f"manual__{dag_run}+00:00", run_file)
    said = {
        "own": "fruit 2026-11-02 This DAG run published this partition.",
        "other": "fruit 2026-11-02 Published by another run; this DAG run's own is other-run.",
        "running": "fruit This DAG run fills partition 2026-11-05, which is not published yet.",
        "new": "fruit This DAG run has not planned its partition yet.",
    }
    for dag_run, note in said.items():
        assert note in site.page(f"/dags/features_fruit/runs/manual__{dag_run}%2B00:00").text
    assert "other_dag fills no dataset" in site.page("/dags/other_dag/runs/manual__own", 404).text


def _return_from_plan(dag_id: str, run_id: str, value: str) -> None:
    """Leave in Airflow's database what the task `plan` leaves there."""
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType
    from sqlalchemy import text

    with create_session() as session:
        session.execute(text("PRAGMA foreign_keys=OFF"))  # no task instance, no DAG version: the page asks for neither
        session.add(DagRun(dag_id=dag_id, run_id=run_id, run_type=DagRunType.MANUAL, run_after=START))
        session.flush()
        XComModel.set("return_value", value, dag_id=dag_id, task_id="plan", run_id=run_id, session=session)


# When there is nothing to show


def test_before_the_first_run_the_page_says_what_to_do_and_makes_nothing(site: Site, settings: Settings) -> None:
    assert "There is no dataset yet, or none" in site.page().text
    dataset_file(settings, "fruit")
    for path in ("/", "/datasets/fruit"):
        assert "Nothing is published yet. To fill a partition" in site.page(path).text
    assert not list(Path(settings.lake.removeprefix("file://")).iterdir())
    publish(settings, runs_row("fruit", "2026-11-02", {}))
    assert "Nothing is published yet" not in site.page().text


@pytest.mark.parametrize(
    "url",  # refused, no driver or refused, unreadable, not a database
    [
        f"http://user:{SECRET}@127.0.0.1:1/",
        f"postgresql+psycopg://user:{SECRET}@127.0.0.1:1/catalog",
        f"postgresql:/user:{SECRET}@127.0.0.1",
        "sqlite:///{lake}/catalog.db",
    ],
)
def test_a_catalog_out_of_reach_is_one_line_without_its_password(
    site: Site, settings: Settings, url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lake = settings.lake.removeprefix("file://")
    Path(lake, "catalog.db").write_bytes(b"not a database")
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", url.format(lake=lake))
    page = site.page("/", 503)
    assert "The catalog cannot be read now (" in page.text
    assert page.tags.count("p") == 1
    assert SECRET not in page.html + "".join(capfd.readouterr())


def test_a_catalog_that_does_not_answer_is_not_waited_for(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow import published

    monkeypatch.setattr(published, "CATALOG_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("IMAGEFEATURES_CATALOG", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        assert "The catalog cannot be read now (TimeoutError)" in site.page("/", 503).text


def test_a_malformed_setting_is_named(site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_LAKE", "ftp://lake")
    assert "IMAGEFEATURES_LAKE: 'ftp://lake' is neither" in site.page("/", 503).text


def test_an_installed_page_names_the_setting_that_it_lacks(
    site: Site, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefeatures.settings.REPOSITORY", tmp_path)
    monkeypatch.delenv("IMAGEFEATURES_DATASETS")
    assert "IMAGEFEATURES_DATASETS: must be set" in site.page("/", 503).text


# The plugin itself


def test_importing_the_plugin_imports_no_web_framework(tmp_path: Path) -> None:
    heavy = {"fastapi", "pyarrow", "pyiceberg", "numpy", "airflow.providers.apache.spark.operators"}
    code = f"import sys, imagefeatures_airflow.plugin; print(*{heavy!r} & set(sys.modules))"
    env = {"PATH": "", "PYTHONPATH": f"{PLUGINS}:{REPOSITORY}", "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_button_and_the_menu_entry_lead_to_routes_that_exist(site: Site, plugin_app: Any) -> None:
    from imagefeatures_airflow.plugin import ImageFeaturesPlugin

    views = {view["destination"]: "/" + view["href"].lower() for view in ImageFeaturesPlugin.external_views}
    assert views.keys() == {"nav", "dag_run"}
    assert set(views.values()) <= {PAGE + route.path for route in plugin_app.routes}


def test_examples_in_docstrings(site: Site) -> None:
    from imagefeatures_airflow import pages

    done = doctest.testmod(pages)
    assert (done.failed, done.attempted > 5) == (0, True)
