"""Who may see the page: every route is guarded, and a dataset is visible to readers of its DAG."""

from __future__ import annotations

import re
from typing import Any

from imagefeatures.settings import Settings
from support.web import PAGE, Site, dataset_file, publish, request, runs_row


def test_anonymous_gets_401_on_every_route(site: Site, plugin_app: Any) -> None:
    assert len(plugin_app.routes) >= 4
    for route in plugin_app.routes:
        path = PAGE + re.sub(r"\{.*?\}", "features_x", route.path)
        for method in getattr(route, "methods", None) or {"GET"}:
            answer = request(site.app, method, path)
            assert (answer.status_code, answer.text) == (401, '{"detail":"Not authenticated"}'), (method, path)


def unguarded(app: Any) -> list[str]:
    """Paths of the routes that ask for no user: neither themselves nor through what they depend on."""
    from airflow.api_fastapi.core_api.security import get_user

    def guarded(dependant: Any) -> bool:
        return dependant.call is get_user or any(guarded(needed) for needed in dependant.dependencies)

    # A mounted application and a plain Starlette route have no dependencies at all.
    return [route.path for route in app.routes if not (hasattr(route, "dependant") and guarded(route.dependant))]


def test_every_route_has_the_guard(plugin_app: Any) -> None:
    assert len(plugin_app.routes) >= 4
    assert unguarded(plugin_app) == []


def test_a_route_that_forgets_the_guard_has_it_all_the_same(site: Site, plugin_app: Any) -> None:
    async def secret() -> str:
        return "secret"

    plugin_app.add_api_route("/forgotten", secret)
    try:
        assert request(site.app, "GET", PAGE + "/forgotten").status_code == 401
        assert site.get(PAGE + "/forgotten", Cookie=f"_token={site.login}").text == '"secret"'
    finally:
        plugin_app.routes.pop()


def test_a_route_without_the_guard_would_be_found(site: Site) -> None:
    from fastapi import FastAPI
    from starlette.applications import Starlette

    from imagefeatures_airflow.web import access

    def answer() -> None: ...

    app = FastAPI(docs_url=None, redoc_url=None)  # which leaves /openapi.json
    app.add_api_route("/guarded", answer, dependencies=[access.KNOWN_USER])
    app.add_api_route("/guarded/twice", answer, dependencies=[access.READER_OF_XCOM])
    app.add_api_route("/open", answer)
    app.add_route("/plain", answer)
    app.add_api_websocket_route("/socket", answer)
    app.mount("/mounted", Starlette())
    assert unguarded(app) == ["/openapi.json", "/open", "/plain", "/socket", "/mounted"]


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
