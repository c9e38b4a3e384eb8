"""The DAG that takes quarantined objects again: its form, its tasks, and what plan plans."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagefeatures.errors import ParamsError
from imagefeatures.plan import load_run
from imagefeatures.reasons import Reason
from imagefeatures.run_params import RedriveParams
from imagefeatures.settings import Settings
from imagefeatures.steps import SPARK_STEPS
from imagefeatures_airflow import tasks
from imagefeatures_airflow.form import redrive_params_of
from imagefeatures_airflow.redrive import MOST_TASKS
from imagefeatures_airflow.retries import RefuseInputErrors
from support.redriving import BAD, bad_partition

FRUIT = "source: s3://photos/fruit/{partition}/"


def test_the_steps_are_those_of_a_run_once_for_each_partition_that_plan_returns(parse_dags: Any) -> None:
    dag = parse_dags(fruit=FRUIT).dags["redrive_fruit"]
    downstream = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    steps = ("featurize", "ingest", "model", "register", "resize", "statistics", "validate")
    assert downstream == {
        "plan": ["left_out", *(f"partition.{step}" for step in steps)],
        "left_out": [],
        "partition.model": ["partition.featurize"],
        "partition.ingest": ["partition.validate"],
        "partition.validate": ["partition.resize"],
        "partition.resize": ["partition.featurize"],
        "partition.featurize": ["partition.register"],
        "partition.register": ["partition.statistics"],
        "partition.statistics": [],
    }
    assert {type(task.retry_policy) for task in dag.tasks} == {RefuseInputErrors}
    for step in SPARK_STEPS:
        task = dag.get_task(f"partition.{step}")
        assert task.application_args[0] == "--run"
        assert task.conf == {"spark.imagefeatures.dataset": "fruit"}
        assert task.get_closest_mapped_task_group().group_id == "partition"
    assert (dag.max_active_tasks, dag.catchup) == (MOST_TASKS, False)
    assert not dag.timetable.can_be_scheduled
    assert "**The promise.**" in dag.doc_md


def test_the_form_has_every_parameter_with_type_title_and_description(parse_dags: Any) -> None:
    dag = parse_dags(fruit=FRUIT).dags["redrive_fruit"]
    assert set(dag.params) == set(RedriveParams.model_fields)
    schemas = {name: dag.params.get_param(name).schema for name in dag.params}
    for name, schema in schemas.items():
        assert schema["title"], name
        assert dag.params.get_param(name).description, name
        assert dag.params.get_param(name).resolve() is None, name
    assert {name: schema["type"] for name, schema in schemas.items()} == {
        "partition": ["string", "null"], "reason": ["string", "null"], "since": ["string", "null"],
        "uris": ["array", "null"],
    }  # fmt: skip
    assert schemas["reason"]["enum"] == [*map(str, Reason), None]
    assert schemas["since"]["format"] == "date"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"reason": "XYZ"}, r"^reason: is no reason code \(got 'XYZ'\)$"),
        ({"since": "soon"}, "^since: must be a day of the calendar"),
        ({"uris": "s3://b/1.jpg"}, "^uris: must be a list in brackets"),
        ({"uris": ["", " "]}, "^uris: must name an object"),
        ({"raeson": "CORRUPT"}, r"^raeson: unknown field \(did you mean reason\?\)$"),
    ],
)
def test_a_parameter_that_is_wrong_is_refused_by_name(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ParamsError, match=text):
        redrive_params_of(given)


def test_a_word_for_a_day_is_counted_from_the_trigger() -> None:
    run: Any = SimpleNamespace(run_after=dt.datetime(2026, 11, 3, 0, 30, tzinfo=dt.UTC))
    assert redrive_params_of({"partition": "yesterday"}, run).partition == "2026-11-02"
    assert redrive_params_of({"since": "2026-11-02"}, run) == RedriveParams(since=dt.date(2026, 11, 2))


def test_blank_lines_are_no_uris_and_blanks_at_the_end_may_be_a_part_of_one() -> None:
    assert redrive_params_of({"uris": [" s3://b/1 2.jpg \u3000", "", " ", "s3://b/3.jpg\r"]}).uris == (
        "s3://b/1 2.jpg \u3000",
        "s3://b/1 2.jpg",
        "s3://b/3.jpg",
    )


def test_plan_plans_a_run_for_each_partition_with_a_matching_object(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    partition = bad_partition(tmp_path / "photos", settings)
    partition.publish()
    source = f"name: photos\nsource: file://{tmp_path}/photos/{{partition}}/\n"
    (settings.datasets / "photos.yaml").write_text(source)
    redrives = tasks.plan_redrives(settings.datasets, "photos", {"reason": "TRUNCATED"})
    (run_file,) = redrives.planned
    assert redrives.left_out == {}
    run = load_run(run_file)
    assert (run.partition, run.redrive) == (partition.key, partition.run["run_id"])
    assert run.dataset.limits.max_rejected == 1
    capsys.readouterr()
    assert tasks.plan_redrives(settings.datasets, "photos", {"reason": "RATE_LIMITED"}) == ([], {})
    said = "nothing that is quarantined of photos matches: no partition is changed\n"
    assert capsys.readouterr().out == said
    assert len(partition.quarantine) == BAD
