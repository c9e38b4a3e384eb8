"""What the pages consist of: no script but ours, escaped values, headers, tables that a screen reader can follow."""

from __future__ import annotations

import base64
import datetime as dt
import doctest
import hashlib
from urllib.parse import quote

import pytest

from imagefeatures.settings import REPOSITORY, Settings
from support.web import OUR_SCRIPT, PAGE, Site, dataset_file, publish, runs_only_our_script, runs_row

NAUGHTY = """<img src=x onerror="alert(1)">'&quot;"""


def test_the_page_may_load_and_run_nothing_but_what_is_ours(site: Site, settings: Settings) -> None:
    answer = site.get(PAGE + "/", Cookie=f"_token={site.login}")
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert policy == (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'sha256-{digest}'; img-src 'self'; "
        "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
    )
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_script_is_a_file_that_browsers_may_keep(site: Site, settings: Settings) -> None:
    address = OUR_SCRIPT.search(site.page().html)[1]
    answer = site.get(address, Cookie=f"_token={site.login}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "immutable" in answer.headers["Cache-Control"]
    assert hashlib.sha256(answer.content).hexdigest().startswith(address.rpartition("?")[2])
    for of_another_version in (address.partition("?")[0], address[:-1]):
        answer = site.get(of_another_version, Cookie=f"_token={site.login}")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")


def test_every_value_of_the_tables_is_escaped(site: Site, settings: Settings) -> None:
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
        assert not {"img", "iframe", "form", "object", "link", "base"} & set(page.tags)
        assert runs_only_our_script(page)
        assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
        assert all(value.startswith(PAGE + "/") for _, name, value in page.attributes if name in ("href", "src"))
    assert index.text.count(NAUGHTY) >= 6  # dataset, reason (twice), section, partition, run
    assert ("code", "title", NAUGHTY) in index.attributes
    assert ("a", "href", f"{PAGE}/datasets/{name}/partitions/{name}") in index.attributes
    assert "broken.yaml: label: " in index.text


def test_tables_have_captions_and_header_scopes(site: Site, settings: Settings) -> None:
    dataset_file(settings, "fruit")
    publish(settings, runs_row("fruit", "2026-11-02", {"CORRUPT": 3}))
    for path in ("/", "/datasets/fruit", "/datasets/fruit/partitions/2026-11-02"):
        page = site.page(path)
        assert page.tags.count("table") == page.tags.count("caption") > 0
        assert page.tags.count("th") == sum(tag == "th" and name == "scope" for tag, name, _ in page.attributes)


def test_a_moment_of_another_zone_is_shown_as_it_is_in_utc(site: Site) -> None:
    from imagefeatures_airflow.web import rendering

    kathmandu = dt.timezone(dt.timedelta(hours=5, minutes=45))
    assert rendering.moment(dt.datetime(2026, 11, 2, 3, 30, tzinfo=kathmandu)) == "2026-11-01 21:45 UTC"


def test_the_command_that_the_page_shows_is_that_of_the_deployment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from imagefeatures_airflow.web import rendering

    monkeypatch.setenv("AIRFLOW_HOME", str(REPOSITORY / ".airflow"))  # as `make up` sets it
    assert rendering.airflow_command() == ".venv/bin/python -m deploy.local airflow"
    for other in ("/opt/airflow", str(REPOSITORY)):
        monkeypatch.setenv("AIRFLOW_HOME", other)
        assert rendering.airflow_command() == "airflow"


def test_examples_in_docstrings(site: Site) -> None:
    from imagefeatures_airflow.web import rendering

    done = doctest.testmod(rendering)
    assert (done.failed, done.attempted > 5) == (0, True)


def test_a_run_of_several_models_shows_all_of_them(site: Site, settings: Settings) -> None:
    dataset_file(settings, "fruit", "source: s3://photos/{partition}/\nmodels: [mobilenet_v2, resnet50]")
    further = {"models": [("resnet50", "0f" * 16)], "models_reused": [("resnet50", 777)]}
    publish(settings, runs_row("fruit", "2026-11-02", {}, **further))
    assert "features.fruit__resnet50" in site.page("/datasets/fruit").text
    assert "0f0f0f0f resnet50" in site.page("/datasets/fruit").text
    text = site.page("/datasets/fruit/partitions/2026-11-02").text
    assert "resnet50 table features.fruit__resnet50 , 777 reused" in text
    assert "0f" * 16 in text
