"""The two actions: a run of Airflow's with the right parameters, for those who may start it, from our pages alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from imagefeatures.reasons import Reason
from imagefeatures.settings import Settings
from support.photos import jpeg
from support.publishing import DAY
from support.shown_objects import Refused, lay_out
from support.web import PAGE, Site, known_to_airflow, publish, request, runs_row, user

OWN = {"Sec-Fetch-Site": "same-origin"}
REFUSED = [Refused(f"{n}.jpg", b"no picture", Reason.UNSUPPORTED_FORMAT, f"detail {n % 2}") for n in range(4)]


@pytest.fixture(autouse=True)
def _laid_out(site: Site, settings: Settings, tmp_path: Path) -> Iterator[None]:
    lay_out(settings, tmp_path, [("good.jpg", jpeg(1), None, [1.0] * 8)], REFUSED)
    with known_to_airflow(settings):
        yield


def press(who: Site, dag_id: str, partition: str = DAY, headers: dict[str, str] = OWN, **query: str) -> httpx.Response:
    address = f"{PAGE}/dags/{dag_id}/partitions/{partition}/trigger?{urlencode(query)}"
    return request(who.app, "POST", address, headers={"Cookie": f"_token={who.login}", **headers})


def runs_of(dag_id: str) -> list[Any]:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.id)).all()
        return [(run.run_id, run.conf, run.state, run.triggering_user_name, run.triggered_by.value) for run in found]


def test_a_press_starts_the_dag_and_leads_to_its_run(site: Site) -> None:
    presser = user(site, "user")
    answer = press(presser, "features_photos")
    ((run_id, conf, state, name, by),) = runs_of("features_photos")
    assert (conf, state, name, by) == ({"partition": DAY}, "queued", "user", "ui")
    assert re.fullmatch(r"manual__[-0-9]+T[0-9:]+\.[0-9]{6}\+00:00.*", run_id)  # to the microsecond
    assert answer.status_code == 303
    assert httpx.URL(answer.headers["location"]).path == f"{PAGE}/dags/features_photos/runs/{run_id}"
    assert presser.get(answer.headers["location"], Cookie=f"_token={presser.login}").status_code == 200


def test_a_dag_that_fills_no_dataset_is_not_started(site: Site) -> None:
    answer = press(user(site, "user"), "upkeep")
    assert (answer.status_code, "upkeep fills no dataset" in answer.text) == (404, True)


@pytest.mark.parametrize("dag_id", ["features_photos", "redrive_photos"])
def test_the_page_of_a_run_says_that_its_dag_is_paused(site: Site, dag_id: str) -> None:
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import update

    presser = user(site, "user")
    started = press(presser, dag_id).headers["location"]
    for paused in (False, True):  # as Airflow makes a new DAG, at the end
        with create_session() as session:
            session.execute(update(DagModel).where(DagModel.dag_id == dag_id).values(is_paused=paused))
        for address in (started, f"{started}/progress"):
            said = presser.get(address, Cookie=f"_token={presser.login}").text
            assert (f"The DAG {dag_id} is paused: no further task of this run starts" in said) is paused


def test_a_redrive_takes_what_the_page_shows(site: Site, tmp_path: Path) -> None:
    of = {"reason": "UNSUPPORTED_FORMAT"}
    uris = [f"file://{tmp_path}/files/{number}.jpg" for number in range(4)]
    confs: list[tuple[dict[str, str], dict[str, Any]]] = [
        ({}, {}),
        (of, of),
        ({"text": "detail 1"}, {"uris": [uris[1], uris[3]]}),
        ({"text": "/2.jpg", **of}, {"uris": [uris[2]], **of}),
    ]
    for query, _ in confs:
        assert press(user(site, "op"), "redrive_photos", **query).status_code == 303
    assert [conf for _, conf, *_ in runs_of("redrive_photos")] == [{"partition": DAY, **conf} for _, conf in confs]


def test_what_cannot_be_taken_again_is_said_and_starts_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from imagefeatures_airflow.web import actions

    for query, said in (({"text": "nowhere"}, "0 objects match"), ({"reason": "X"}, "reason")):
        answer = press(user(site, "op"), "redrive_photos", **query)
        assert (answer.status_code, said in answer.text) == (400, True)
    monkeypatch.setattr(actions, "MOST_URIS", 3)
    answer = press(user(site, "op"), "redrive_photos", text="detail")
    assert "4 objects match; 1 to 3 can be named in one re-drive. Choose by reason alone." in answer.text
    assert runs_of("redrive_photos") == []


def test_only_published_partitions_of_our_dags(site: Site) -> None:
    admin = user(site, "admin")
    for dag_id in ("other", "features_nothing", "classify_photos"):
        assert press(admin, dag_id).status_code == 404, dag_id
    assert press(admin, "features_photos", "2020-01-01").status_code == 404
    assert runs_of("features_photos") == []


FOREIGN = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://airflow"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://airflow.evil.example"},
    {"Origin": "null"},
    {},
)


def test_a_form_of_another_site_is_refused_and_one_of_ours_taken(site: Site) -> None:
    admin = user(site, "admin")
    for headers in FOREIGN:
        for dag_id in ("features_photos", "redrive_photos"):
            answer = press(admin, dag_id, headers=headers)
            assert (answer.status_code, "not from a page of this Airflow" in answer.text) == (403, True), headers
    assert runs_of("features_photos") == runs_of("redrive_photos") == []
    for headers in (OWN, {"Origin": "http://airflow"}):  # plain HTTP has the older header alone
        assert press(admin, "features_photos", headers=headers).status_code == 303


def test_a_token_that_no_browser_adds_by_itself_needs_no_origin(site: Site) -> None:
    presser = user(site, "user")
    address = f"{PAGE}/dags/features_photos/partitions/{DAY}/trigger"
    answer = request(site.app, "POST", address, headers={"Authorization": f"Bearer {presser.login}"})
    assert answer.status_code == 303


def test_the_buttons_are_there_for_whom_they_work(site: Site, settings: Settings) -> None:
    query = urlencode({"dataset": "photos", "partition": DAY, "text": "detail 1"})
    for role, wanted in (("viewer", False), ("user", True)):
        page = user(site, role).page(f"/quarantine?{query}")
        forms = [value for tag, name, value in page.attributes if (tag, name) == ("form", "action")][1:]
        trigger = f"{PAGE}/dags/{{}}/partitions/{DAY}/trigger"
        urls = [f"{trigger.format('redrive_photos')}?text=detail+1", trigger.format("features_photos")]
        assert forms == (urls if wanted else [])
        assert ("is paused" in page.text) is wanted  # Airflow pauses a new DAG


def test_a_partition_without_quarantined_objects_can_be_run_again(site: Site, settings: Settings) -> None:
    publish(settings, runs_row("photos", "2026-12-05", {}))
    again = {day: f"{PAGE}/dags/features_photos/partitions/{day}/trigger" for day in ("2026-12-05", DAY)}
    redrive = f"{PAGE}/dags/redrive_photos/partitions/{DAY}/trigger?reason=CORRUPT"
    for wanted, said, urls in (
        ({"partition": "2026-12-05"}, "Nothing of this partition is quarantined.", [again["2026-12-05"]]),
        ({"partition": DAY, "reason": "CORRUPT"}, "objects that fit this filter.", [redrive, again[DAY]]),
        ({"partition": "2026-12-06"}, "objects that fit this filter.", []),
    ):
        for role in ("viewer", "user"):
            page = user(site, role).page(f"/quarantine?{urlencode({'dataset': 'photos', **wanted})}")
            assert said in page.text
            forms = [value for tag, name, value in page.attributes if (tag, name) == ("form", "action")][1:]
            assert forms == (urls if role == "user" else []), wanted
            of = f"{PAGE}/datasets/photos/partitions/{wanted['partition']}"
            links = {value for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
            assert {of, f"{of}/gallery"} <= links or not urls
    assert "2026-12-05" not in user(site, None).page("/quarantine?dataset=photos&partition=2026-12-05").text


def test_who_may_start_one_of_the_two_dags_has_its_button(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from imagefeatures_airflow.web import access

    for dag_id in ("features_photos", "redrive_photos"):
        monkeypatch.setattr(access, "may_trigger", lambda _, asked, dag_id=dag_id: asked == dag_id)
        page = user(site, "user").page(f"/quarantine?dataset=photos&partition={DAY}")
        forms = [value for tag, name, value in page.attributes if (tag, name) == ("form", "action")][1:]
        assert [url.split("/")[3] for url in forms if url] == [dag_id]


def test_airflow_writes_it_down(site: Site) -> None:
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import select

    press(user(site, "user"), "features_photos")
    with create_session() as session:
        log = session.scalars(select(Log).where(Log.dag_id == "features_photos").order_by(Log.id.desc())).first()
        assert (log.event, log.owner) == ("trigger_dag_run", "user")


def test_an_address_that_may_be_secret_is_no_parameter_of_a_run(site: Site, settings: Settings, tmp_path: Path) -> None:
    secret = Refused("x", None, Reason.HTTP_REFUSED, "403", uri="https://host.example/1.jpg?X-Amz-Signature=s3cret")
    plain = Refused("y", None, Reason.HTTP_REFUSED, "403", uri="https://host.example/2.jpg")
    lay_out(settings, tmp_path, [("other.jpg", jpeg(2), None, [1.0] * 8)], [secret, plain])
    answer = press(user(site, "op"), "redrive_photos", text="example/1.jpg")
    assert answer.status_code == 400
    assert "Some of these URLs have a user, a query or a fragment, which may be secret. Choose by reason" in answer.text
    assert runs_of("redrive_photos") == []
    for wanted in ({"text": "example/2.jpg"}, {"reason": "HTTP_REFUSED"}):
        assert press(user(site, "op"), "redrive_photos", **wanted).status_code == 303
    assert [conf for _, conf, *_ in runs_of("redrive_photos")] == [
        {"partition": DAY, "uris": ["https://host.example/2.jpg"]},
        {"partition": DAY, "reason": "HTTP_REFUSED"},
    ]
