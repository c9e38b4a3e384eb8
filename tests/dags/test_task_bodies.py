"""What the tasks of a DAG do when Airflow calls them, and the parts that a DAG is made of."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from imagefeatures import layout
from imagefeatures.errors import ParamsError
from imagefeatures.models import prepare
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from imagefeatures_airflow import building_blocks, tasks
from support.dataset_files import written
from support.photos import fill
from support.shared import MakeRun

FRUIT = "source: s3://photos/fruit/{partition}/"
SUMMARY = {"partition_key": "2026-11-02", "registered": 3}


def body(parse_dags: Any, task: str) -> Any:
    return parse_dags(fruit=FRUIT).dags["features_fruit"].get_task(task).python_callable


def test_register_reports_its_partition_and_its_numbers_with_the_asset(
    parse_dags: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[str] = []
    event = SimpleNamespace(add_partitions=added.append, extra=None)
    monkeypatch.setattr(tasks, "register", lambda run_file, dataset: SUMMARY | {"of": (run_file, dataset)})
    expected = SUMMARY | {"of": ("file:///run.json", "fruit")}
    found = body(parse_dags, "register")("file:///run.json", outlet_events={building_blocks.asset("fruit"): event})
    assert (found, event.extra, added) == (expected, expected, ["2026-11-02"])


def test_plan_and_model_hand_on_what_they_are_given(parse_dags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "plan", lambda *given: ("plan", *given[1:]))
    monkeypatch.setattr(tasks, "model", lambda *given: ("model", *given))
    given = ("plan", "fruit", {"sample": 1}, "2026-11-02", None, None)
    assert body(parse_dags, "plan")({"sample": 1}, "2026-11-02") == given
    assert body(parse_dags, "model")("file:///run.json") == ("model", "file:///run.json", "fruit")


@pytest.mark.parametrize(
    ("source", "partition", "printed"),
    [
        (
            "photos/{partition}/",
            "2026-11-02",
            "this run fills the partition 2026-11-02 of features.fruit; days are those of UTC\n",
        ),
        ("photos/2026-11-02/", None, ""),
    ],
)
def test_plan_says_which_partition_the_run_fills_where_it_was_named(
    source: str, partition: str | None, printed: str, tmp_path: Path, settings: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    fill(tmp_path / "photos" / "2026-11-02", {"1.jpg": b"x"})
    written(settings.datasets, {"name": "fruit", "source": f"file://{tmp_path}/{source}"})
    tasks.plan(settings.datasets, "fruit", {}, partition)
    assert capsys.readouterr().out == printed


def test_a_run_that_listed_nothing_is_a_skipped_task(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    run_file = make_run(fill(tmp_path / "photos", {"1.jpg": b"x"})).layout.run_file
    monkeypatch.setattr(register, "register", lambda *_: register.Outcome(register.EMPTY, why="3 objects passed over"))
    with pytest.raises(
        AirflowSkipException,
        match=r"nothing was listed \(3 objects passed over\): the published partition stays as it is",
    ):
        tasks.register(run_file, "photos")


def test_what_register_has_published_is_printed_and_returned(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Outcome:
        state, summary = register.REGISTERED, SUMMARY
        row: ClassVar[dict[str, Any]] = {}  # of a run whose cost was not measured

        def __str__(self) -> str:
            return "registered: 3"

    run_file = make_run(fill(tmp_path / "photos", {"1.jpg": b"x"})).layout.run_file
    called: list[Any] = []
    monkeypatch.setattr(register, "register", lambda *given: called.append(given) or Outcome())
    assert tasks.register(run_file, "photos") == SUMMARY
    assert capsys.readouterr().out == "registered: 3\n"
    assert called == [(run_file, Settings.from_env())]


def test_the_model_task_prepares_the_runs_own_model(
    make_run: MakeRun, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.jpg": b"x"}))
    monkeypatch.setattr(prepare, "prepare", lambda *given: {"given": given})
    expected = (run.model, run.preprocessing, settings.lake, settings.cache, run.dataset.engine)
    assert tasks.model(run.layout.run_file, "photos") == {"given": expected}


@pytest.mark.parametrize("task", [tasks.model, tasks.register])
def test_the_run_of_another_dataset_is_refused(
    make_run: MakeRun, tmp_path: Path, settings: Settings, task: Any
) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.jpg": b"x"}))
    with pytest.raises(ParamsError, match="photos"):
        task(run.layout.run_file, "fruit")
    with pytest.raises(ParamsError):
        task(layout.Layout("file:///elsewhere", "fruit", run.partition, run.run_id).run_file, "fruit")


@pytest.mark.parametrize("package", ["imagefeatures_nowhere", "json.decoder"])
def test_jobs_that_are_not_installed_are_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is a module without a folder of its own."""
    monkeypatch.setattr(building_blocks, "JOBS", package)
    with pytest.raises(ModuleNotFoundError, match=f"^the package {package} is not installed here$"):
        building_blocks._script("ingest")


def test_the_asset_of_a_dataset_is_its_table() -> None:
    asset = building_blocks.asset("fruit")
    assert (asset.name, asset.uri) == ("features.fruit", "iceberg://features/fruit")


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ("pixels: keep", ["features.fruit", "features.fruit_pixels"]),
        ("pixels: keep\nfeatures: none", ["features.fruit_pixels"]),
    ],
)
def test_the_table_of_the_pixels_is_an_asset_too(parse_dags: Any, fields: str, names: list[str]) -> None:
    dag = parse_dags(fruit=f"{FRUIT}\n{fields}").dags["features_fruit"]
    assert [asset.name for asset in dag.get_task("register").outlets] == names
    assert {"model", "featurize"} <= set(dag.task_ids)  # the same tasks: those of a run without a model end at once


def test_each_table_of_several_models_is_an_asset_that_register_updates(
    parse_dags: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "register", lambda *_: SUMMARY)
    dag = parse_dags(fruit=FRUIT + "\nmodels: [mobilenet_v2, resnet50]").dags["features_fruit"]
    register = dag.get_task("register")
    assert [asset.name for asset in register.outlets] == ["features.fruit", "features.fruit__resnet50"]
    added: list[tuple[str, str]] = []
    events = {
        asset: SimpleNamespace(add_partitions=partial(lambda name, key: added.append((name, key)), asset.name))
        for asset in register.outlets
    }
    register.python_callable("file:///run.json", outlet_events=events)
    assert added == [("features.fruit", "2026-11-02"), ("features.fruit__resnet50", "2026-11-02")]
    assert [event.extra for event in events.values()] == [SUMMARY, SUMMARY]
