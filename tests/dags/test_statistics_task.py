"""The task `statistics` never takes a publication back, says what is missing, and tells whoever is to be told."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseNotifier
from airflow.sdk.exceptions import AirflowSkipException

from imagefeatures import read
from imagefeatures.datasets import Dataset
from imagefeatures.errors import AlertRaised, CatalogError, CatalogRefused
from imagefeatures.layout import Layout
from imagefeatures.quality import record
from imagefeatures.settings import Settings
from imagefeatures_airflow import feature_dags, redrive_dags, statistics_task
from support.measured import clouds, publish

DAY = "2026-11-02"
PLACE = f"features.photos {DAY}"


class Notifier(BaseNotifier):
    """As an Airflow user writes one."""

    template_fields = ("message",)
    sent: list[str]

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message
        self.sent = []

    def notify(self, context: Any) -> None:
        self.sent.append(self.message)


@pytest.fixture
def in_task(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """in_task(alerts={…}, notify=…, try_number=1): the task of a partition with one picture in five quarantined."""
    run_id = publish(settings, DAY, clouds(0, 4), quarantined=1)

    def call(alerts: dict[str, Any] | None = None, notify: Any = None, try_number: int = 1, run: str = run_id) -> Any:
        context = {"ti": SimpleNamespace(try_number=try_number, max_tries=2), "run_id": "manual__1"}
        monkeypatch.setattr(statistics_task, "get_current_context", lambda: context)
        dataset = Dataset.model_validate({"name": "photos", "source": "s3://b/", "alerts": alerts})
        return statistics_task.statistics(Layout(settings.lake, "photos", DAY, run).run_file, dataset, notify)

    return call


def test_a_published_run_has_its_statistics_and_a_retry_returns_the_same(
    in_task: Any, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    first = in_task({"quarantine_rate": 0.1})
    assert f"alert: {PLACE}: quarantine_rate: 1 of 5 objects are quarantined" in capsys.readouterr().out
    (published,) = read.runs(settings, "photos")
    assert (first["partition_key"], first["run_id"]) == (DAY, published["run_id"])
    assert first["alerts"] == {"quarantine_rate": "1 of 5 objects are quarantined, 20.00%; the bound is 10.00%"}
    assert in_task({"quarantine_rate": 0.1}, try_number=2) == first
    (row,) = read.table(settings, "statistics").to_pylist()
    assert dict(row["alerts"]) == first["alerts"]


def test_notifiers_of_airflow_and_functions_are_called_with_the_context(in_task: Any) -> None:
    notifier = Notifier("{{ run_id }}: {{ image_features.text }}")
    contexts: list[dict[str, Any]] = []
    in_task({"quarantine_rate": 0.1}, [notifier, contexts.append])
    why = "1 of 5 objects are quarantined, 20.00%; the bound is 10.00%"
    assert notifier.sent == [f"manual__1: {PLACE}: quarantine_rate: {why}"]
    (context,) = contexts
    assert context["image_features"]["alerts"] == {"quarantine_rate": why}
    assert context["run_id"] == "manual__1"
    in_task({"quarantine_rate": 0.5}, contexts.append)  # the row was there already, with its alert
    assert len(contexts) == 2


def test_without_an_alert_nobody_is_called(in_task: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert in_task({"quarantine_rate": 0.3}, [pytest.fail])["alerts"] == {}
    assert f"{PLACE}: nothing is out of its bounds\n" in capsys.readouterr().out


def test_a_notifier_that_fails_fails_nothing_and_keeps_no_other_from_being_called(
    in_task: Any, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[Any] = []

    def fails(_: Any) -> None:
        raise RuntimeError("no such hook: https://hooks.example.com/s3cret")

    assert in_task({"quarantine_rate": 0.1}, (fails, called.append))["alerts"]
    assert len(called) == 1
    assert "notifier 1 has failed: RuntimeError" in caplog.text
    assert "s3cret" not in caplog.text


def test_an_alert_fails_the_task_only_where_the_dataset_file_says_so(in_task: Any, settings: Settings) -> None:
    called: list[Any] = []
    with pytest.raises(AlertRaised, match=f"^{PLACE}: quarantine_rate: .* The run is published; it fails because"):
        in_task({"quarantine_rate": 0.1, "fail": True}, called.append)
    assert len(called) == 1
    assert read.table(settings, "photos").num_rows == 4


def test_what_cannot_be_computed_is_tried_again_and_then_skipped_with_words(
    in_task: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise CatalogError("the catalog is away")

    monkeypatch.setattr(record, "record", fails)
    for number in (1, 2):
        with pytest.raises(CatalogError):
            in_task(try_number=number)
    text = f"{PLACE} is published; its statistics are not: CatalogError: the catalog is away; clear this task"
    with pytest.raises(AirflowSkipException, match=text):
        in_task(try_number=3)
    monkeypatch.setattr(record, "record", lambda *_: (_ for _ in ()).throw(CatalogRefused("damaged")))
    with pytest.raises(AirflowSkipException, match="its statistics are not: CatalogRefused: damaged"):
        in_task(try_number=1)  # a retry would not help
    assert read.table(settings, "photos").num_rows == 4


def test_a_run_that_is_replaced_by_now_is_skipped(in_task: Any, settings: Settings) -> None:
    publish(settings, DAY, clouds(1, 3))
    with pytest.raises(AirflowSkipException, match=f"{PLACE} holds another run than .* by now, or was taken back"):
        in_task()


def test_the_dag_file_says_whom_to_call(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings.datasets / "fruit.yaml").write_text("name: fruit\nsource: s3://b/{partition}/\n")
    given: list[Any] = []
    monkeypatch.setattr(statistics_task, "statistics", lambda *arguments: given.append(arguments[2]))
    notifier = Notifier("text")
    for dags, task in ((feature_dags, "statistics"), (redrive_dags, "partition.statistics")):
        (dag,) = dags(settings.datasets, notify=notifier).values()
        dag.get_task(task).python_callable("file:///run.json")
    assert given == [notifier, notifier]
