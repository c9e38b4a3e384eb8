"""What the tasks of the DAGs hand on to the functions that do the work, and what they return."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagefeatures.datasets import Dataset
from imagefeatures.errors import CatalogRefused
from imagefeatures.run_params import ForgetParams, UpkeepParams
from imagefeatures.settings import Settings
from imagefeatures.upkeep import work
from imagefeatures.upkeep.report import Report
from imagefeatures_airflow import tasks, upkeep_tasks
from imagefeatures_airflow.classify import classify_dag
from imagefeatures_airflow.forget import forget_dag
from imagefeatures_airflow.plugin import PREFIX, ImageFeaturesPlugin
from imagefeatures_airflow.redrive import redrive_dag
from imagefeatures_airflow.unpublish import unpublish_dag
from imagefeatures_airflow.upkeep import upkeep_dag

FOLDER = Path("/datasets")
FRUIT = Dataset.model_validate({"name": "fruit", "source": "s3://photos/fruit/{partition}/"})
FORM = {"why": "asked to"}
RUN: Any = SimpleNamespace(run_id="manual__1")


def returned(
    monkeypatch: pytest.MonkeyPatch, dag: Any, task: str, does: tuple[Any, str], *given: Any, result: Any = "done"
) -> tuple[list[tuple[Any, ...]], Any]:
    """What a task has handed on to the function, and what it returns where that returns `result`."""
    handed: list[tuple[Any, ...]] = []

    def work(*arguments: Any) -> Any:
        handed.append(arguments)
        return result

    monkeypatch.setattr(*does, work)
    return handed, dag.get_task(task).python_callable(*given)


DAGS = {
    "classify": lambda: classify_dag(FRUIT, FOLDER),
    "forget": forget_dag,
    "redrive": lambda: redrive_dag(FRUIT, FOLDER),
    "unpublish": lambda: unpublish_dag(FRUIT, FOLDER),
    "upkeep": upkeep_dag,
}


@pytest.mark.parametrize(
    ("task", "does", "given", "handed", "result"),
    [
        ("classify.plan", (tasks, "plan_classifier"), (FORM,), (FOLDER, "fruit", FORM), "done"),
        ("classify.publish", (tasks, "publish_classifier"), ("job",), ("job", "fruit"), "done"),
        ("unpublish.withdraw", (upkeep_tasks, "withdraw"), (FORM, RUN), ("fruit", FORM, RUN), "done"),
        ("forget.remove", (upkeep_tasks, "forget"), (FORM, RUN), (FORM, RUN), None),
        ("upkeep.look", (upkeep_tasks, "upkeep"), (), ({"dry_run": True},), "done"),
        ("upkeep.remove", (upkeep_tasks, "upkeep"), (FORM, RUN), (FORM, RUN), "done"),
        ("redrive.left_out", (tasks, "refuse_left_out"), (FORM,), (FORM, "fruit"), None),
    ],
)
def test_a_task_hands_on_what_it_gets(
    monkeypatch: pytest.MonkeyPatch, task: str, does: tuple[Any, str], given: Any, handed: Any, result: Any
) -> None:
    dag, name = task.split(".")
    assert returned(monkeypatch, DAGS[dag](), name, does, *given) == ([handed], result)


def test_plan_of_a_re_drive_returns_its_runs_and_leaves_beside_them_what_was_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pushed: list[tuple[str, Any]] = []
    ti = SimpleNamespace(xcom_push=lambda *pair: pushed.append(pair))
    found = tasks.Redrives(["file:///run.json"], {"2026-11-02": "away"})
    dag = redrive_dag(FRUIT, FOLDER)
    handed, result = returned(monkeypatch, dag, "plan", (tasks, "plan_redrives"), FORM, RUN, ti, result=found)
    assert handed == [(FOLDER, "fruit", FORM, RUN)]
    assert result == found.planned
    assert pushed == [("left_out", found.left_out)]


def test_dags_of_upkeep_have_their_tasks_and_nothing_else() -> None:
    for dag, names in ((forget_dag(), ["remove"]), (unpublish_dag(FRUIT, FOLDER), ["withdraw"])):
        assert [task.task_id for task in dag.tasks] == names
    assert {task.task_id: task.downstream_task_ids for task in upkeep_dag().tasks} == {
        "look": {"remove"},
        "remove": set(),
    }


@pytest.mark.usefixtures("settings")
def test_nothing_that_matches_is_said_and_each_partition_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from imagefeatures import unpublish

    found = {"2026-11-01": "taken back: one", "2026-11-02": None, "2026-11-03": "taken back: three"}
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(unpublish, "partitions", lambda *_: list(found))
    monkeypatch.setattr(unpublish, "withdraw", lambda *given: asked.append(given) or found[given[1]])
    form = {"partition": None, "uris": None, "why": "a wrong camera", "dry_run": True}
    lines = ["taken back: one", "taken back: three"]
    assert upkeep_tasks.withdraw("fruit", form) == lines
    assert capsys.readouterr().out.splitlines() == lines
    assert [(name, partition, by) for name, partition, _, by, _ in asked] == [
        ("fruit", partition, "unknown") for partition in found
    ]
    monkeypatch.setattr(unpublish, "partitions", lambda *_: [])
    assert upkeep_tasks.withdraw("fruit", form) == []
    assert capsys.readouterr().out == "nothing that fruit has published matches: no partition is changed\n"


@pytest.mark.usefixtures("settings")
def test_who_asks_is_the_user_that_airflow_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert upkeep_tasks.asked_by(None) == upkeep_tasks.asked_by(RUN) == "unknown"
    assert upkeep_tasks.asked_by(SimpleNamespace(triggering_user_name="ada")) == "ada"  # type: ignore[arg-type]
    form = {"image_ids": ["ab" * 32], "uris": None, "why": "asked to", "dry_run": True}
    assert set(form) == set(ForgetParams.model_fields)
    upkeep_tasks.forget(form)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("would be forgotten")
    assert "delete the DAG run unknown when" in said[-1]


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("dry_run", "run_type", "removes"),
    [(True, None, False), (True, "manual", False), (True, "scheduled", True), (False, "manual", True),
     (False, None, True), (False, "scheduled", True)],
)  # fmt: skip
def test_upkeep_removes_what_the_form_says_and_always_by_its_schedule(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    dry_run: bool,
    run_type: str | None,
    removes: bool,
) -> None:
    def upkeep(_: Settings, dry_run: bool) -> Report:
        report = Report(done=not dry_run, refused=list(refused))
        report.kind("caches").add(3)
        return report

    monkeypatch.setattr(work, "upkeep", upkeep)
    run: Any = SimpleNamespace(run_type=run_type) if run_type else None
    form, refused = {"dry_run": dry_run}, list[str]()
    assert set(form) == set(UpkeepParams.model_fields)
    assert upkeep_tasks.upkeep(form, run) == {"caches": {"count": 1, "bytes": 3}}
    assert capsys.readouterr().out.startswith("removed: " if removes else "would be removed: ")
    refused += ["one", "another"]
    if removes:
        with pytest.raises(CatalogRefused, match=r"^one; another$"):
            upkeep_tasks.upkeep(form, run)
    else:
        assert upkeep_tasks.upkeep(form, run) == {"caches": {"count": 1, "bytes": 3}}
    assert "left as it is: another" in capsys.readouterr().out


def test_the_plugin_names_its_views_and_its_application() -> None:
    names = {view["destination"]: view["name"] for view in ImageFeaturesPlugin.external_views}
    assert names == {"nav": "Images", "dag_run": "Image features", "task_instance": "Image features"}
    routes = {view["destination"]: view["url_route"] for view in ImageFeaturesPlugin.external_views}
    assert routes == {"nav": PREFIX, "dag_run": f"{PREFIX}-run", "task_instance": f"{PREFIX}-task"}
    (mounted,) = ImageFeaturesPlugin().fastapi_apps
    assert (mounted["name"], mounted["url_prefix"]) == ("Image features", f"/{PREFIX}")
    assert {"/", "/api/datasets"} & {route.path for route in mounted["app"].routes}
