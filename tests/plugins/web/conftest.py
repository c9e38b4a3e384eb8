"""Airflow's own application with the page mounted, once for this folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.web import PAGE, PLUGINS, Site, request


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Airflow's application with its own database. Airflow loads the plugin as always."""
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
