"""Who gets what from which route: every route and method, for nobody, bad tokens and each role of Airflow's."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from imagefeatures.audits.kept import Audit, KeptAudits
from imagefeatures.maps import choice, stored
from imagefeatures.maps.choice import Choice
from imagefeatures.reasons import Reason
from imagefeatures.settings import Settings
from support.photos import jpeg
from support.publishing import DAY
from support.shared import until
from support.shown_objects import RUN_ID, Refused, image_id, lay_out
from support.web import PAGE, Site, known_to_airflow, request, return_from_plan, user

PHOTO = jpeg(1)
OWN = {"Sec-Fetch-Site": "same-origin"}
VALUES = {
    "dataset": "photos",
    "partition": DAY,
    "image_id": image_id(PHOTO),
    "run_id": "manual__1",
    "table": "labels",
    "kind": "csv",
    "dag_id": "features_photos",
    "digest": Choice("photos", ((DAY, RUN_ID),)).digest,
    "point": "0",
    "name": "map.js",
}
ROLES = ("viewer", "user", "op", "admin")
MAY_TRIGGER = ROLES[1:]


@pytest.fixture(autouse=True)
def _laid_out(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("imagefeatures.audits.kept.MOST_PHOTOS", 0)  # no look begins one
    lay_out(settings, tmp_path, [("a.jpg", PHOTO, "fig", [1.0] * 8)], [Refused("b", b"", Reason.EMPTY_OBJECT)])
    made = stored.make(settings, Choice("photos", ((DAY, RUN_ID),)))
    monkeypatch.setitem(VALUES, "made", urlencode({"made": made.facts["made_at"]}))


@pytest.fixture
def _audited(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is an audit, and a DAG run that has published: what a route gives then is not for want of it."""
    monkeypatch.setattr("imagefeatures.audits.kept.MOST_PHOTOS", 10)
    audits = KeptAudits(Settings.from_env())

    def is_there(chosen: Choice) -> bool:
        return isinstance(audits.of(chosen), Audit)

    for chosen in (choice.published(settings, "photos"), Choice("photos", ((DAY, RUN_ID),))):
        until(partial(is_there, chosen))
    return_from_plan("features_photos", "manual__1", f"{settings.lake}/staging/photos/{DAY}/{RUN_ID}/run.json")


def every_route(app: Any) -> list[tuple[str, str]]:
    """Method and path of each route."""
    return [(method, route.path) for route in app.routes for method in sorted(route.methods)]


def status(site: Site, method: str, path: str, headers: dict[str, str]) -> int:
    address = PAGE + re.sub(r"\{(\w+)\}", lambda found: VALUES[found[1]], path)
    address += f"?{VALUES['made']}"  # of the map; other routes have no such parameter
    return request(site.app, method, address, headers={**OWN, **headers}).status_code


def test_nobody_without_a_login_gets_anything(site: Site, plugin_app: Any) -> None:
    expired = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZWFkZXIiLCJyb2xlIjoiYWRtaW4ifQ."
    for method, path in every_route(plugin_app):
        assert status(site, method, path, {}) == 401, (method, path)
        for token in ("", "x", expired, site.login[:-8] + "AAAAAAAA"):
            for headers in ({"Cookie": f"_token={token}"}, {"Authorization": f"Bearer {token}"}):
                assert status(site, method, path, headers) in (401, 403), (method, path, token)


@pytest.mark.usefixtures("_audited")
def test_each_role_gets_what_it_may(site: Site, settings: Settings, plugin_app: Any) -> None:
    routes = every_route(plugin_app)
    assert len(routes) >= 10
    assert {method for method, _ in routes} == {"GET", "POST"}
    with known_to_airflow(settings):
        for role in ROLES:
            for method, path in routes:
                found = status(site, method, path, {"Cookie": f"_token={user(site, role).login}"})
                if method == "POST":
                    assert found == (303 if role in MAY_TRIGGER else 403), (role, path)
                else:
                    assert found == 200, (role, path)


def test_a_re_drive_is_for_those_who_may_trigger_it(site: Site, settings: Settings) -> None:
    address = f"{PAGE}/dags/redrive_photos/partitions/{VALUES['partition']}/trigger"
    with known_to_airflow(settings):
        for role in ROLES:
            headers = {"Cookie": f"_token={user(site, role).login}", **OWN}
            answer = request(site.app, "POST", address, headers=headers)
            assert answer.status_code == (303 if role in MAY_TRIGGER else 403), role
        stranger = {"Cookie": f"_token={user(site, None).login}", **OWN}
        assert request(site.app, "POST", address, headers=stranger).status_code == 403


@pytest.mark.usefixtures("_audited")
def test_without_a_role_a_dataset_is_not_there(site: Site, settings: Settings, plugin_app: Any) -> None:
    stranger = {"Cookie": f"_token={user(site, None).login}"}
    with known_to_airflow(settings):
        for method, path in every_route(plugin_app):
            found = status(site, method, path, stranger)
            wanted = {403} if "{dag_id}" in path else {404} if "{dataset}" in path else {200}
            assert found in wanted, (method, path)
    assert b"photos" not in request(site.app, "GET", f"{PAGE}/quarantine", headers=stranger).content


def test_no_other_method_does_anything(site: Site, plugin_app: Any) -> None:
    routes = every_route(plugin_app)
    admin = {"Cookie": f"_token={user(site, 'admin').login}"}
    for path in {path for _, path in routes}:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            if (method, path) not in routes:
                assert status(site, method, path, admin) == 405, (method, path)
