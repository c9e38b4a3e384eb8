"""The DAG that fits a classifier: who has one, what starts it, its form and its tasks."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from imagefeatures.errors import DatasetError, ParamsError
from imagefeatures.learning.job import load_job
from imagefeatures.run_params import ClassifyParams
from imagefeatures.settings import Settings
from imagefeatures_airflow import tasks
from imagefeatures_airflow.retries import RefuseInputErrors
from support import learning

FRUIT = "source: s3://photos/fruit/{partition}/"
ASKS = f"{FRUIT}\nclassify: {{model: random_forest, components: 60}}"


@pytest.fixture
def dag(parse_dags: Any) -> Any:
    return parse_dags(fruit=ASKS, plain=FRUIT).dags["classify_fruit"]


def test_a_dataset_has_one_if_it_asks_for_it(parse_dags: Any) -> None:
    bag = parse_dags(fruit=ASKS, plain=FRUIT, empty=f"{FRUIT}\nclassify: {{}}")
    assert not bag.import_errors
    assert {dag for dag in bag.dags if dag.startswith("classify_")} == {"classify_fruit", "classify_empty"}
    assert {"features_plain", "features_fruit"} <= bag.dags.keys()


def test_a_classify_block_that_is_wrong_makes_no_dag_and_is_reported(parse_dags: Any) -> None:
    bag = parse_dags(fruit=f"{FRUIT}\nclassify: {{margins: 0.1}}", nuts=f"{FRUIT}\nclassify: {{components: 1}}")
    assert sorted(bag.dags) == ["forget", "upkeep"]  # which are of no dataset
    (error,) = bag.import_errors.values()
    assert "fruit.yaml: classify.margins: unknown field (did you mean margin?)" in error
    assert "nuts.yaml: classify.components: must be at least 2 (got 1)" in error


def test_what_is_published_starts_it_once_for_all_partitions(dag: Any) -> None:
    assert dag.timetable.asset_condition.uri == "iceberg://features/fruit"
    mapper = dag.timetable.default_partition_mapper
    assert mapper.to_downstream("2026-11-02") == mapper.to_downstream("2026-11-03")
    assert (dag.max_active_runs, dag.catchup) == (1, False)


def test_it_plans_then_fits_then_publishes(dag: Any) -> None:
    downstream = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    assert downstream == {"plan": ["classify", "publish"], "classify": ["publish"], "publish": []}
    assert {type(task.retry_policy) for task in dag.tasks} == {RefuseInputErrors}
    job = dag.get_task("classify")
    assert job.application_args[0] == "--job"
    assert job.application.endswith("/imagefeatures_spark/classify.py")
    assert job.conf == {"spark.imagefeatures.dataset": "fruit"}
    assert [asset.uri for asset in dag.get_task("publish").outlets] == ["iceberg://learning/fruit_predictions"]
    assert "**The promise.**" in dag.doc_md


def test_the_form_begins_with_the_values_of_the_file(dag: Any) -> None:
    assert {name: dag.params.get_param(name).resolve() for name in dag.params} == {
        "model": "random_forest", "components": 60, "split_seed": 0,
    }  # fmt: skip
    assert set(dag.params) == set(ClassifyParams.model_fields)
    for name in dag.params:
        assert dag.params.get_param(name).schema["title"] and dag.params.get_param(name).description


def test_plan_takes_the_file_as_it_is_then_and_the_forms_values(settings: Settings) -> None:
    (settings.datasets / "fruit.yaml").write_text(f"name: fruit\n{ASKS}\n")
    learning.publish(settings, learning.rows())
    uri = tasks.plan_classifier(settings.datasets, "fruit", {"model": "mlp", "components": None})
    found = load_job(uri, settings.lake, "fruit").classify
    assert (found.model, found.components) == ("mlp", 60)
    with pytest.raises(ParamsError, match=r"^model: must be logistic_regression, random_forest or mlp"):
        tasks.plan_classifier(settings.datasets, "fruit", {"model": "svm"})
    (settings.datasets / "fruit.yaml").write_text(f"name: fruit\n{FRUIT}\n")
    with pytest.raises(DatasetError, match=r"^fruit\.yaml: classify: is required"):
        tasks.plan_classifier(settings.datasets, "fruit", {})


def test_plan_skips_what_is_published(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings.datasets / "fruit.yaml").write_text(f"name: fruit\n{ASKS}\n")
    learning.publish(settings, learning.rows())
    monkeypatch.setattr("imagefeatures.learning.publish.is_published", lambda job, _: job.dataset == "fruit")
    with pytest.raises(AirflowSkipException, match=r"features\.fruit and the settings are as they were"):
        tasks.plan_classifier(settings.datasets, "fruit", {})
