"""The parameters of a DAG run, on its page: while it is under way, after a failure, and once it is published."""

from __future__ import annotations

import doctest
import re
from typing import Any

import pytest
from airflow.utils.state import DagRunState

from imagefeatures.settings import Settings
from support.web import Site, dag_run_is, dataset_file, publish, return_from_plan, runs_only_our_script, runs_row

NAUGHTY = "<img src=x onerror=alert(1)>"
CONF = {
    "partition": "2026-11-02",
    "limit": 5,
    "shard_images": None,
    "replace_newer": True,
    NAUGHTY: NAUGHTY,
    "uris": ["s3://photos/a.jpg", "https://me:word@host/1.jpg?token=x"],
    "nested": {"at": ["https://me:word@host/2.jpg#x"]},
    "lines": "https://me:word@host/3.jpg\nsee https://me:word@host/4.jpg?key=x there",
    "blanks": "https://me:pass word@host/a b.jpg?token=x",
    "long": "y" * 5000,
}
SHOWN = [
    ("partition", "2026-11-02"),
    ("limit", "5"),
    ("shard_images", "none"),
    ("replace_newer", "true"),
    ("&lt;img src=x onerror=alert(1)&gt;",) * 2,
    ("uris", "s3://photos/a.jpg, https://host/1.jpg?…"),
    ("nested", "{&#34;at&#34;: [&#34;https://host/2.jpg?…&#34;]}"),
    ("lines", "https://host/3.jpg\nsee https://host/4.jpg?… there"),
    ("blanks", "https://host/a b.jpg?…"),
    ("long", f"{'y' * 200}…"),
]


def parameters(site: Site, path: str) -> list[tuple[str, str]]:
    page = site.page(path)
    assert runs_only_our_script(page)
    assert "img" not in page.tags
    of_section = page.html.partition("<h2>Parameters</h2>")[2].partition("</section>")[0]
    return re.findall("<dt>(.*?)</dt><dd><code>(.*?)</code></dd>", of_section, re.DOTALL)


@pytest.mark.parametrize("state", [DagRunState.RUNNING, DagRunState.FAILED, DagRunState.SUCCESS])
def test_what_the_conf_says_is_on_the_page_while_the_run_is_under_way_and_after(
    site: Site, settings: Settings, state: str
) -> None:
    name = f"conf_{state}"
    dataset_file(settings, name)
    run = f"{settings.lake}/staging/{name}/2026-11-02/run-of-2026-11-02/run.json"
    return_from_plan(f"features_{name}", "manual__1", run, CONF)
    dag_run_is(f"features_{name}", "manual__1", state)
    if state == DagRunState.SUCCESS:
        publish(settings, runs_row(name, "2026-11-02", {}))
        assert "Parameters" not in site.page(f"/datasets/{name}/partitions/2026-11-02").text
    assert parameters(site, f"/dags/features_{name}/runs/manual__1") == SHOWN


def test_a_run_with_an_empty_conf_has_the_defaults_and_one_with_many_parameters_is_cut(
    site: Site, settings: Settings
) -> None:
    dataset_file(settings, "many")
    return_from_plan("features_many", "manual__none", "nothing yet")
    said = site.page("/dags/features_many/runs/manual__none").text
    assert "Parameters none: the defaults" in said
    return_from_plan("features_many", "manual__all", "nothing yet", {f"p{number}": number for number in range(2022)})
    path = "/dags/features_many/runs/manual__all"
    assert parameters(site, path) == [(f"p{number}", str(number)) for number in range(20)]
    assert "and 2,002 more" in site.page(path).text
    assert "Parameters" not in site.page("/dags/features_many/runs/manual__unknown").text


def test_the_page_of_a_re_drive_has_its_parameters_too(site: Site, settings: Settings) -> None:
    dataset_file(settings, "again")
    publish(settings, runs_row("again", "2026-11-02", {"CORRUPT": 1}))
    return_from_plan("redrive_again", "manual__1", "[]", {"reasons": ["CORRUPT", "TRUNCATED"]})
    assert parameters(site, "/dags/redrive_again/runs/manual__1") == [("reasons", "CORRUPT, TRUNCATED")]
    assert "Parameters" not in site.page("/datasets/again").text


def test_parameters_are_for_those_who_may_see_the_runs_of_the_dag(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    manager = get_auth_manager()
    may = manager.is_authorized_dag

    def but_no_runs(*, access_entity: DagAccessEntity | None = None, **given: Any) -> bool:
        return access_entity is not DagAccessEntity.RUN and may(access_entity=access_entity, **given)

    dataset_file(settings, "hidden")
    for dag_id in ("features_hidden", "redrive_hidden"):
        return_from_plan(dag_id, "manual__1", "nothing yet", {"limit": 5})
        assert parameters(site, f"/dags/{dag_id}/runs/manual__1") == [("limit", "5")]
    monkeypatch.setattr(manager, "is_authorized_dag", but_no_runs)
    for dag_id in ("features_hidden", "redrive_hidden"):
        assert "Parameters" not in site.page(f"/dags/{dag_id}/runs/manual__1").text


def test_a_conf_of_any_depth_can_be_shown(site: Site) -> None:
    from imagefeatures_airflow.web.parameters import given

    deep: Any = "https://me:word@host/1.jpg"
    for _ in range(5000):
        deep = [{"in": deep}]
    text = '{"in": [{"in": [{"in": "…"}]}]}'
    assert given({"deep": deep, "one": deep[0]}).shown == (("deep", text), ("one", text))
    assert given("https://me:word@host/?x").shown == (("conf", "https://host/?…"),)


def test_examples_in_docstrings(site: Site) -> None:
    from imagefeatures_airflow.web import parameters

    done = doctest.testmod(parameters)
    assert (done.failed, done.attempted) == (0, 2)
