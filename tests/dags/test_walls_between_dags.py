"""One dataset file takes no other's DAG away, whatever it is named and whatever Airflow says to it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

import imagefeatures_airflow
from imagefeatures.dataset_files import load_datasets
from imagefeatures.errors import DatasetError
from imagefeatures.settings import REPOSITORY, Settings
from support.dataset_files import GOOD, dag_ids, written

FRUIT = "source: s3://photos/fruit/{partition}/"
NAMES = (
    "dag", "dags", "s", "feature_dags", "path", "globals", "task", "file__", "x__file__", "name__", "doc__", "airflow",
    "imagefeatures_airflow", "check_feature_dags", "annotations", "builtins", "features", "features_dag", "f" * 63,
)  # fmt: skip


def test_no_name_takes_a_name_of_the_dag_file(parse_dags: Any) -> None:
    bag = parse_dags(fruit=FRUIT, **dict.fromkeys(NAMES, FRUIT))
    assert sorted(bag.dags) == dag_ids("fruit", *NAMES)
    assert bag.import_errors == {}


BAD = {
    "a_cron": f"{FRUIT}\nschedule: '0 0 * * mon-fry'",
    "b_cron": f"{FRUIT}\nschedule: '0 0 32 * *'",
    "c_never": f"{FRUIT}\nschedule: '0 0 31 2 *'",
    "d_date": f"{FRUIT}\nstart_date: 0001-01-01",
    "e_deep": "source: " + "[" * 5000,
    "f_laughs": "a: &a [x,x]\n" + "".join(f"b{at}: &b{at} [*a,*a,*a,*a]\n" for at in range(9)),
    "g_nul": 'source: "s3://b/\\0/"',
    "h_half": 'source: "s3://b/\\ud800/"',
    "i_twice": f"{FRUIT}\nsample: 1\nsample: 0.5",
    "j_long": f"{FRUIT}\n#" + "#" * 70_000,
    "k_label": f"{FRUIT}\nlabel: '{'(' * 5000}a{')' * 5000}'",
}


def test_every_bad_file_is_named_and_every_good_one_is_a_dag(parse_dags: Any) -> None:
    bag = parse_dags(fruit=FRUIT, zebra=f"{FRUIT}\nschedule: '0 0 * * mon-fri'", **BAD)
    assert sorted(bag.dags) == dag_ids("fruit", "zebra")
    ((file, text),) = bag.import_errors.items()
    assert Path(file).name == "malformed_datasets.py"
    for name in BAD:
        assert f"{name}.yaml: " in text
    for field in ("schedule", "start_date", "source", "sample", "label"):
        assert f".yaml: {field}: " in text
    text.encode()


def test_a_dag_that_airflow_refuses_is_one_error_beside_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow import building_blocks

    written(settings.datasets, GOOD)
    written(settings.datasets, GOOD | {"name": "nuts"}, "nuts.yaml")
    real = building_blocks.submit

    def refusing(step: str, dataset: str, run_file: Any) -> Any:
        if dataset == "nuts":
            raise RecursionError("no\nsuch\x1bstep")
        return real(step, dataset, run_file)

    monkeypatch.setattr(building_blocks, "submit", refusing)
    assert list(imagefeatures_airflow.feature_dags()) == ["features_fruit"]
    assert list(imagefeatures_airflow.redrive_dags()) == ["redrive_fruit"]
    with pytest.raises(DatasetError, match=r"^nuts\.yaml: Airflow makes no DAG of it: RecursionError: ") as refused:
        imagefeatures_airflow.check_feature_dags()
    assert str(refused.value).isprintable()


def test_a_schedule_that_airflow_alone_refuses_is_one_error_beside_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow looks at a calendar when it takes the DAG, which would be the end of every DAG of the file."""
    from imagefeatures_airflow import pipeline

    written(settings.datasets, GOOD)
    written(settings.datasets, GOOD | {"name": "nuts", "schedule": "0 0 * * *"}, "nuts.yaml")
    real = pipeline.calendar
    monkeypatch.setattr(pipeline, "calendar", lambda cron, first: real("0 0 32 * *" if cron else None, first))
    assert list(imagefeatures_airflow.feature_dags()) == ["features_fruit"]
    with pytest.raises(DatasetError, match=r"^nuts\.yaml: Airflow makes no DAG of it: \w+: \[0 0 32 \* \*\] is not"):
        imagefeatures_airflow.check_feature_dags()


def test_a_dag_that_is_half_made_is_never_taken_by_airflow(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.dag_processing.dagbag import DagBag

    from imagefeatures_airflow import building_blocks

    written(settings.datasets, GOOD)

    def failing(*_: object) -> Any:
        raise RuntimeError("half-way")

    monkeypatch.setattr(building_blocks, "submit", failing)
    bag = DagBag(REPOSITORY / "dags", load_op_links=False)
    assert sorted(bag.dags) == ["forget", "unpublish_fruit", "upkeep"]  # which submit nothing
    assert [Path(file).name for file in bag.import_errors] == ["malformed_datasets.py"]


CRONS = [
    f"0 0 {day} {month} {weekday}"
    for day in ("*", "31", "1,15", "10-20/3", "L", "0", "32", "1-32", "x")
    for month in ("*", "2", "jan-mar", "FEB", "13", "1-")
    for weekday in ("*", "mon-fri", "7", "sun,sat", "fri-mon", "8", "mon-", "L5")
]


def test_what_a_schedule_accepts_is_what_airflows_calendar_can_follow(tmp_path: Path) -> None:
    """Every expression: refused by its field, or a timetable that Airflow validates and finds the next days of."""
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    from imagefeatures_airflow.building_blocks import calendar

    for at, cron in enumerate(CRONS):
        written(tmp_path, GOOD | {"name": f"c{at}", "schedule": cron}, f"c{at}.yaml")
    datasets, errors = load_datasets(tmp_path)
    assert len(datasets) > 50
    assert len(errors) > 50
    assert all(": schedule: " in str(error) for error in errors)
    for dataset in datasets:
        timetable = coerce_to_core_timetable(calendar(dataset.schedule, dataset.start_date))
        timetable.validate()
        for year in (1970, 2026, 2199):
            earliest = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
            restriction = TimeRestriction(earliest=earliest, latest=None, catchup=True)
            assert timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction), dataset.schedule


def test_the_first_and_the_last_day_can_be_scheduled(parse_dags: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    days = {f"d{day.replace('-', '')}": f"{FRUIT}\nstart_date: {day}" for day in ("1970-01-01", "2199-12-31")}
    bag = parse_dags(**days)
    assert sorted(bag.dags) == dag_ids(*days)
    for dag in bag.dags.values():
        DagSerialization.to_dict(dag)
