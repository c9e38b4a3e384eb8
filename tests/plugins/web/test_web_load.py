"""Many views at once: of a catalog that is silent, slow or refuses. Airflow's own routes do not wait for the page.

Airflow's application and its clients share an event loop here, as they share the server's in a deployment.
tests/suites/attacks/test_page_views.py does the same with a real server.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from imagefeatures.settings import Settings
from support.silent import silent
from support.web import PAGE, Site, dataset_file, publish, runs_row

VIEWS = 60
PATHS = ("/", "/datasets/pears", "/datasets/pears/partitions/2026-11-02", "/dags/features_pears/runs/manual__1")
OF_AIRFLOW = ("/api/v2/version", "/api/v2/dags", "/api/v2/monitor/health")
CATALOG_SECONDS = 6.0


async def at_once(site: Site, views: int, meanwhile: Callable[[httpx.AsyncClient], Any]) -> tuple[list[int], Any]:
    """The statuses of so many views of all pages at once, and what `meanwhile` returned while they were under way."""
    transport = httpx.ASGITransport(site.app, raise_app_exceptions=False)
    login = {"Authorization": f"Bearer {site.login}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow", headers=login) as client:
        under_way = [asyncio.create_task(client.get(PAGE + PATHS[n % len(PATHS)])) for n in range(views)]
        await asyncio.sleep(0.5)
        said = await meanwhile(client)
        assert not all(view.done() for view in under_way) or views == 1
        return [(await view).status_code for view in under_way], said


async def slowest(client: httpx.AsyncClient) -> float:
    """The seconds of the slowest of thirty requests to Airflow's own routes, ten of each at a time."""
    took = 0.0
    for path in OF_AIRFLOW:
        started = time.monotonic()
        answers = await asyncio.gather(*(client.get(path) for _ in range(10)))
        took = max(took, time.monotonic() - started)
        assert {answer.status_code for answer in answers} == {200}
    return took


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    from imagefeatures_airflow.web import published

    monkeypatch.setattr(published, "CATALOG_SECONDS", CATALOG_SECONDS)


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize(
    "url", ["http://{}/", pytest.param("postgresql+psycopg://user:s3cret@{}/catalog", marks=pytest.mark.long)]
)
def test_views_of_a_silent_catalog_do_not_make_airflow_wait(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    dataset_file(settings, "pears")
    with silent() as address:
        monkeypatch.setenv("IMAGEFEATURES_CATALOG", url.format(address))
        site.get("/api/v2/dags", Authorization=f"Bearer {site.login}")  # the first one imports for a while
        before = len([thread for thread in threading.enumerate() if thread.name == "image features"])
        statuses, took = asyncio.run(at_once(site, VIEWS, slowest))
        readers = len([thread for thread in threading.enumerate() if thread.name == "image features"]) - before
    assert statuses == [503] * VIEWS
    assert took < CATALOG_SECONDS * 2 / 3
    assert readers <= 2  # the one that they shared, and the one that was tried after it


def test_reads_that_hang_are_few_and_the_page_says_so(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import published

    hung = threading.Event()
    threads: list[threading.Thread] = []
    with monkeypatch.context() as patch:
        patch.setattr(published, "CATALOG_SECONDS", 0.2)
        patch.setattr(published, "_threads", threads)
        patch.setattr("imagefeatures.catalog.snapshots.current", lambda *_: hung.wait(60) and None)
        try:
            for _ in range(published.READERS):
                assert "(TimeoutError)" in site.page("/", 503).text
            assert f"it has not answered {published.READERS} earlier requests" in site.page("/", 503).text
            assert len(threads) == published.READERS
        finally:
            hung.set()
        for thread in threads:
            thread.join(60)
    assert "There is no dataset yet" in site.page("/").text  # it is well again once they have ended


def test_views_at_once_share_one_read_and_later_ones_take_its_rows_for_a_while(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import published

    publish(settings, runs_row("pears", "2026-11-02", {}))
    monkeypatch.setattr(published, "FRESH_SECONDS", 60.0)
    reads = counted(monkeypatch)

    async def nothing(_: httpx.AsyncClient) -> None: ...

    statuses, _ = asyncio.run(at_once(site, VIEWS, nothing))
    assert statuses == [200] * VIEWS
    publish(settings, runs_row("pears", "2026-12-05", {}))
    assert "2026-12-05" not in site.page("/datasets/pears").text
    assert len(reads) == 1
    monkeypatch.setattr(published, "FRESH_SECONDS", 0.0)  # as if that time had passed
    assert "2026-12-05" in site.page("/datasets/pears").text
    assert len(reads) == 2


def test_rows_that_are_kept_are_shown_to_nobody_who_may_not_see_them(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    from imagefeatures_airflow.web import published

    publish(settings, runs_row("pears", "2026-11-02", {}))
    monkeypatch.setattr(published, "FRESH_SECONDS", 60.0)
    reads = counted(monkeypatch)
    stranger = Site(site.app, get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="nobody", role=None)))
    for _ in range(2):
        assert "pears" in site.page("/").text
        assert "pears" not in stranger.page("/").text
        stranger.page("/datasets/pears", 404)
    assert len(reads) == 1


def test_a_read_that_began_too_early_serves_no_later_view(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow read is waited for, and then another one is made: rows are never older than they may be."""
    from imagefeatures_airflow.web import published

    monkeypatch.setattr(published, "FRESH_SECONDS", 0.2)
    numbers = itertools.count(1)
    monkeypatch.setattr("imagefeatures.catalog.snapshots.current", lambda *_: next(numbers))
    rows = iter(([runs_row("pears", "2026-11-02", {})], [runs_row("pears", "2026-12-05", {})]))
    begun = threading.Event()

    def slow(_: Settings, snapshot: int) -> list[dict[str, Any]]:
        begun.set()
        time.sleep(1)
        return next(rows)

    monkeypatch.setattr("imagefeatures.read.runs", slow)
    with ThreadPoolExecutor(1) as other:
        early = other.submit(lambda: asyncio.run(published.published(settings)))
        begun.wait(60)
        time.sleep(0.5)
        late = asyncio.run(published.published(settings))
        assert [row["partition_key"] for row in early.result()["pears"]] == ["2026-11-02"]
        assert [row["partition_key"] for row in late["pears"]] == ["2026-12-05"]


def test_a_read_opens_no_file_of_a_snapshot_that_was_read_before(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures.readers import parquet

    for day in ("2026-11-02", "2026-11-03", "2026-11-04"):
        publish(settings, runs_row("pears", day, {}))
    opened: list[str] = []
    real = parquet.file_batches

    def file_batches(uri: str, *given: Any, **named: Any) -> Any:
        opened.append(uri)
        return real(uri, *given, **named)

    monkeypatch.setattr(parquet, "file_batches", file_batches)
    first = site.page("/datasets/pears").text
    assert len(opened) == 3
    assert site.page("/datasets/pears").text == first
    assert len(opened) == 3
    publish(settings, runs_row("pears", "2026-12-05", {}))
    assert "2026-12-05" in site.page("/datasets/pears").text
    assert len(opened) == 7


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of each read of the catalog from now on."""
    from imagefeatures import read

    reads: list[Settings] = []
    real = read.runs

    def runs(settings: Settings, snapshot: int) -> list[dict[str, Any]]:
        reads.append(settings)
        time.sleep(1)  # long enough for all views of a test to come meanwhile
        return real(settings, snapshot=snapshot)

    monkeypatch.setattr(read, "runs", runs)
    return reads
