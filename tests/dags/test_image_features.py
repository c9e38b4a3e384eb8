"""The DAGs as Airflow parses them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook

from imagefeatures.errors import CatalogError, ModelMismatch, StoreError
from imagefeatures.run_params import RunParams
from imagefeatures.settings import REPOSITORY
from imagefeatures_airflow.retries import RefuseInputErrors
from support.dataset_files import dag_ids

FRUIT = "source: s3://photos/fruit/{partition}/"


def test_each_dataset_file_is_one_dag_of_each_kind(parse_dags: Any) -> None:
    bag = parse_dags(fruit=FRUIT, birds="source: file:///data/birds/")
    assert sorted(bag.dags) == dag_ids("birds", "fruit")
    assert bag.import_errors == {}


def test_the_tasks_depend_on_each_other_as_designed(parse_dags: Any) -> None:
    dag = parse_dags(fruit=FRUIT).dags["features_fruit"]
    downstream = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    assert downstream == {
        "plan": ["featurize", "ingest", "model", "register", "resize", "statistics", "validate"],
        "model": ["featurize"],
        "ingest": ["validate"],
        "validate": ["resize"],
        "resize": ["featurize"],
        "featurize": ["register"],
        "register": ["statistics"],
        "statistics": [],
    }


def test_a_job_gets_the_run_file_and_nothing_else(parse_dags: Any) -> None:
    dag = parse_dags(fruit=FRUIT).dags["features_fruit"]
    for step in ("ingest", "validate", "resize", "featurize"):
        task = dag.get_task(step)
        assert type(task).__name__ == "SparkSubmitOperator"
        assert task.application == str(REPOSITORY / "jobs" / "imagefeatures_spark" / f"{step}.py")
        flag, run_file = task.application_args
        assert flag == "--run"
        assert run_file.operator.task_id == "plan"
        assert task.conf == {"spark.imagefeatures.dataset": "fruit"}
        assert task._conn_id == "spark_default"


@pytest.mark.parametrize("run_file", ["--conf=spark.jars=x", "a b; touch /tmp/x", "$(id)", "{{ 7 * 7 }}", "", "\n"])
def test_what_plan_returns_is_one_argument_of_the_job_and_never_an_option_of_spark(
    run_file: str, parse_dags: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever somebody puts into plan's result: it comes after the job's file, where spark-submit reads no options."""
    task = parse_dags(fruit=FRUIT).dags["features_fruit"].get_task("ingest")
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", '{"conn_type": "spark", "host": "local[*]"}')
    hook = SparkSubmitHook(conf=task.conf, name=task.name, application_args=[task.application_args[0], run_file])
    command = hook._build_spark_submit_command(task.application)
    assert command[-3:] == [task.application, "--run", run_file]
    assert command.index("spark.imagefeatures.dataset=fruit") < command.index(task.application)


def test_a_malformed_dataset_file_is_one_error_beside_the_other_dags(parse_dags: Any) -> None:
    bag = parse_dags(fruit=FRUIT, bad="source: s3://b/\nlimts: {}", worse="source: ftp://b/")
    assert sorted(bag.dags) == dag_ids("fruit")
    (text,) = bag.import_errors.values()
    assert "bad.yaml: limts: unknown field" in text
    assert "worse.yaml: source: " in text
    assert [key.rsplit("/", 1)[-1] for key in bag.import_errors] == ["malformed_datasets.py"]


def test_the_form_has_every_parameter_with_type_bounds_title_and_description(parse_dags: Any) -> None:
    dag = parse_dags(fruit=f"{FRUIT}\nsample: 0.25\nlimits: {{max_rejected: 0.01}}\nreuse: false").dags[
        "features_fruit"
    ]
    assert set(dag.params) == set(RunParams.model_fields)
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.schema["type"], name
        assert param.schema["title"], name
        assert param.description, name
    assert dag.params["partition"] == "yesterday"  # the word: the text of a DAG does not change from day to day
    assert dag.params["sample"] == 0.25
    assert dag.params["max_rejected"] == 0.01
    assert dag.params["reuse"] is False
    assert dag.params.get_param("reuse").schema["type"] == ["boolean", "null"]
    assert dag.params.get_param("shard_images").schema["maximum"] == 10_000


def test_a_midnight_run_fills_the_day_that_has_just_ended(parse_dags: Any) -> None:
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    dag = parse_dags(fruit=f'{FRUIT}\nschedule: "0 0 * * *"').dags["features_fruit"]
    timetable = coerce_to_core_timetable(dag.timetable)
    start = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    restriction = TimeRestriction(earliest=start, latest=None, catchup=True)
    info = timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)
    assert info.partition_key == f"{info.run_after - dt.timedelta(days=1):%Y-%m-%d}"
    assert (info.run_after.hour, info.run_after.minute) == (0, 0)


def test_without_a_schedule_no_run_is_scheduled_and_a_backfill_still_finds_the_days(parse_dags: Any) -> None:
    from airflow.timetables.base import TimeRestriction

    dag = parse_dags(fruit=FRUIT).dags["features_fruit"]
    start, end = dt.datetime(2026, 11, 1, tzinfo=dt.UTC), dt.datetime(2026, 11, 3, tzinfo=dt.UTC)
    restriction = TimeRestriction(earliest=start, latest=None, catchup=True)
    assert dag.timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction) is None
    days = dag.timetable.iter_partition_dagrun_infos(earliest=start, latest=end)
    assert [info.partition_key for info in days] == ["2026-11-01", "2026-11-02", "2026-11-03"]


def test_the_dags_are_the_same_at_every_parse(parse_dags: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    first = DagSerialization.to_dict(parse_dags(fruit=FRUIT).dags["features_fruit"])
    assert DagSerialization.to_dict(parse_dags().dags["features_fruit"]) == first


@pytest.mark.parametrize(
    "file",
    [
        "dags/image_features.py",
        "dags/malformed_datasets.py",
        "dags/redrive.py",
        "dags/unpublish.py",
        "dags/forget.py",
        "dags/upkeep.py",
        "plugins/imagefeatures_airflow/building_blocks.py",
        "plugins/imagefeatures_airflow/pipeline.py",
        "plugins/imagefeatures_airflow/redrive.py",
        "plugins/imagefeatures_airflow/unpublish.py",
        "plugins/imagefeatures_airflow/forget.py",
        "plugins/imagefeatures_airflow/upkeep.py",
    ],
)
def test_airflows_own_checker_finds_no_value_that_changes_at_each_parse(file: str) -> None:
    from airflow.utils.dag_version_inflation_checker import check_dag_file_stability

    result = check_dag_file_stability(str(REPOSITORY / file))
    assert not result.warnings


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (ModelMismatch("other weights"), "fail"),
        (RuntimeError("Cannot execute: spark-submit … Error code is: 65.\nLast spark-submit output: …"), "fail"),
        (RuntimeError("Cannot execute: spark-submit … Error code is: 1."), "default"),
        (RuntimeError("Cannot execute: spark-submit … Error code is: 650."), "default"),
        (RuntimeError("Cannot execute: spark-submit … Error code is: 165."), "default"),
        (StoreError("s3://b/: no answer in 60 s"), "default"),
        (CatalogError("the catalog does not answer"), "default"),
        (OSError("reset"), "default"),
    ],
)
def test_only_input_errors_fail_without_a_retry(error: Exception, action: str) -> None:
    assert RefuseInputErrors().evaluate(error, 1, 2).action.value == action


def test_every_task_has_the_retry_policy(parse_dags: Any) -> None:
    dag = parse_dags(fruit=FRUIT).dags["features_fruit"]
    assert {type(task.retry_policy) for task in dag.tasks} == {RefuseInputErrors}
    assert {task.retries for task in dag.tasks} == {2}
    assert {task.retry_delay for task in dag.tasks} == {dt.timedelta(seconds=20)}


def test_a_retry_waits_as_long_as_the_task_says(parse_dags: Any) -> None:
    assert RefuseInputErrors().evaluate(OSError("reset"), 1, 2).retry_delay is None


@pytest.mark.parametrize("schedule", ["", '\nschedule: "0 0 * * *"'])
def test_scheduled_runs_begin_at_the_midnight_of_the_start_date(schedule: str, parse_dags: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    for start, first in (("2199-12-01", "2199-11-30"), ("2026-11-01", str(yesterday))):
        dag = parse_dags(fruit=f"{FRUIT}\nstart_date: {start}{schedule}").dags["features_fruit"]
        assert dag.catchup is False
        stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        info = stored.next_dagrun_info(last_automated_run_info=None)
        assert (info and info.partition_key) == (first if schedule else None)


def test_a_run_of_any_logical_date_has_its_tasks(parse_dags: Any) -> None:
    """Of a run whose logical date is before a task's start_date Airflow makes no such task, and calls it a success."""
    bag = parse_dags(fruit=f"{FRUIT}\nstart_date: 2026-11-01")
    assert {task.start_date for dag in bag.dags.values() for task in dag.tasks} == {
        dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    }
