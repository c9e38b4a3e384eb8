"""Airflow's own application with the page mounted, once for this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.web import PAGE, Site, airflow_with_pages


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Airflow's application with its own database."""
    with airflow_with_pages(tmp_path_factory.mktemp("airflow")) as site:
        yield site
    from airflow import settings

    settings.configure_vars()  # back to the settings of the other tests
    settings.configure_orm()


@pytest.fixture(autouse=True)
def _read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A view reads what was there before it. Tests of how long rows and looks are kept set that time again."""
    from imagefeatures_airflow.web import looks, published

    monkeypatch.setattr(published, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(looks, "FRESH_SECONDS", 0.0)


@pytest.fixture
def plugin_app(site: Site) -> Any:
    """The plugin's own application, as it is mounted in Airflow's."""
    return next(route.app for route in site.app.routes if getattr(route, "path", "") == PAGE)
