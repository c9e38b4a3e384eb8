"""Sixty people look at the page while the catalog is silent: a real Airflow, its own routes, and the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from deploy.local.api import Api
from deploy.local.environment import environment
from deploy.local.services import airflow
from support.silent import silent

VIEWS = 60
PAGES = ("/", "/datasets/fruit", "/datasets/fruit/partitions/2026-11-02", "/dags/features_fruit/runs/manual__1")
OF_AIRFLOW = ("/api/v2/version", "/api/v2/dags", "/api/v2/monitor/health", "/api/v2/importErrors")
ANSWER_SECONDS = 5.0
"""Far below the fifteen seconds for which the page waits for the catalog, and far above what these routes take."""


@pytest.fixture(scope="module", params=["http://{}/", "postgresql+psycopg://user:s3cret-canary@{}/catalog"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A running Airflow whose page has a catalog that never answers."""

    def variables(home: Path, port: int) -> dict[str, str]:
        lake = {"IMAGEFEATURES_LAKE": f"file://{home}/lake", "IMAGEFEATURES_CATALOG": request.param.format(address)}
        return environment(home, port) | lake

    with silent() as address, airflow(tmp_path_factory.mktemp("airflow"), variables=variables) as running:
        running.get("/api/v2/version")  # logs in
        yield running


def timed(api: Api, path: str, token: str) -> tuple[int, float, str]:
    """Status, seconds and text of an answer."""
    began = time.monotonic()
    try:
        with urlopen(Request(api.address + path, headers={"Authorization": f"Bearer {token}"}), timeout=120) as got:
            return got.status, time.monotonic() - began, got.read().decode()
    except HTTPError as error:
        return error.code, time.monotonic() - began, error.read().decode()


def test_airflow_answers_while_sixty_views_wait_for_a_catalog_that_is_silent(api: Api) -> None:
    token = api.post("/auth/token", {"username": "admin", "password": api.password})["access_token"]
    for path in OF_AIRFLOW:
        timed(api, path, token)  # the first one imports
    with ThreadPoolExecutor(VIEWS) as people:
        views = [
            people.submit(timed, api, f"/image-features{PAGES[number % len(PAGES)]}", token) for number in range(VIEWS)
        ]
        time.sleep(1)
        answers = [timed(api, path, token) for _ in range(5) for path in OF_AIRFLOW]
        assert sum(not view.done() for view in views) > VIEWS / 2, "the views were over before Airflow was asked"
        pages = [view.result() for view in views]
    assert {status for status, _, _ in answers} == {200}
    assert max(seconds for _, seconds, _ in answers) < ANSWER_SECONDS
    assert {status for status, _, _ in pages} == {503}
    assert max(seconds for _, seconds, _ in pages) < 40
    assert all("The catalog cannot be read now" in text for _, _, text in pages)
    assert not any("s3cret-canary" in text for _, _, text in pages)
