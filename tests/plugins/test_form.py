"""Which partition a run fills: the form's field, Airflow's own partition key, a logical date, or nothing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures_airflow.form import DEFAULT_DAY, params_of, trigger_form
from imagefeatures_airflow.pipeline import features_dag
from support.doors import DOORS

TRIGGERED = dt.datetime(2026, 11, 3, 0, 30, tzinfo=dt.UTC)


def dag_run(conf: dict[str, Any] | None = None, logical_date: dt.datetime | None = None) -> Any:
    return SimpleNamespace(conf=conf, logical_date=logical_date, run_after=TRIGGERED)


def partition(conf: dict[str, Any] | None, key: str | None = None, logical_date: dt.datetime | None = None) -> Any:
    """What a run fills whose trigger has sent that conf: Airflow merges it into the form's defaults."""
    params = {"partition": DEFAULT_DAY} | (conf or {})
    return params_of(params, key, dag_run(conf, logical_date)).partition


@pytest.mark.parametrize(
    ("conf", "settled"),
    [
        (None, "2026-11-02"),
        ({}, "2026-11-02"),
        ({"partition": "yesterday"}, "2026-11-02"),
        ({"partition": "Today"}, "2026-11-03"),
        ({"partition": "2026-10-05"}, "2026-10-05"),
        ({"partition": "train"}, "train"),
        ({"partition": None}, None),
    ],
)
def test_the_forms_field_names_the_day_counted_from_the_trigger(conf: Any, settled: str | None) -> None:
    assert partition(conf) == settled


@pytest.mark.parametrize(
    "conf", [None, {}, {"partition": "yesterday"}, {"partition": None}, {"partition": "2026-10-07"}]
)
def test_airflows_own_partition_key_is_taken(conf: Any) -> None:
    """A scheduled run, a backfill that sends its form to all of its runs, and the key field of the trigger form."""
    assert partition(conf, key="2026-10-07") == "2026-10-07"


def test_the_other_fields_are_as_they_were_sent() -> None:
    settled = params_of({"partition": "yesterday", "sample": 0.5, "reuse": False}, None, dag_run())
    assert (settled.partition, settled.sample, settled.reuse) == ("2026-11-02", 0.5, False)


def test_the_form_of_a_source_without_partitions_says_to_leave_the_field_empty() -> None:
    whole, daily = (trigger_form(Dataset(name="d", source=uri)) for uri in ("s3://b/", "s3://b/{partition}/"))
    assert whole["partition"].value is None
    assert whole["partition"].description.startswith("Leave it empty: ")
    assert daily["partition"].description.startswith("The day to fill, in UTC: ")


@pytest.mark.parametrize("asked", ["2026-10-06", "today"])
def test_two_different_days_are_refused(asked: str) -> None:
    with pytest.raises(ParamsError, match=rf"^partition: the parameters say {asked}, but .* key is 2026-10-07; leave"):
        partition({"partition": asked}, key="2026-10-07")


def test_a_logical_date_is_taken_where_no_partition_was_sent() -> None:
    date = dt.datetime(2026, 10, 9, 2, tzinfo=dt.timezone(dt.timedelta(hours=5)))
    assert partition({}, logical_date=date) == "2026-10-08"  # the day in UTC
    assert partition(None, logical_date=date) == "2026-10-08"  # a run without a conf
    assert partition({"partition": "2026-10-05"}, logical_date=date) == "2026-10-05"
    assert partition({"partition": "yesterday"}, logical_date=date) == "2026-11-02"


def test_a_logical_date_makes_no_day_of_a_source_that_is_the_same_every_day() -> None:
    """TriggerDagRunOperator sends one unasked. Its run would publish the whole source once more under another key."""
    run = dag_run(None, dt.datetime(2026, 10, 9, tzinfo=dt.UTC))
    assert params_of({"partition": None}, None, run).partition is None
    assert params_of({"partition": "yesterday"}, None, run).partition == "2026-10-09"


def test_an_unknown_parameter_is_refused_by_name_whatever_the_partition_is() -> None:
    with pytest.raises(ParamsError, match=r"^shard_imagez: unknown field \(did you mean shard_images\?\)$"):
        partition({"shard_imagez": 5})
    with pytest.raises(ParamsError, match=r"^partition: must be a name such as 2026-11-02"):
        partition({}, key="../x")


def test_the_form_begins_with_yesterday_where_the_source_has_days() -> None:
    daily, all_at_once = (Dataset(name="d", source=f"s3://b/{folder}") for folder in ("{partition}/", "photos/"))
    assert trigger_form(daily)["partition"].value == "yesterday"
    assert trigger_form(all_at_once)["partition"].value is None


def test_a_number_that_may_be_left_empty_keeps_its_bounds() -> None:
    """Airflow draws a field by its types, and holds what was typed against the bounds."""
    schema = trigger_form(Dataset(name="d", source="s3://b/"))["max_rejected"].schema
    assert schema == {"title": "Failure budget", "type": ["number", "null"], "minimum": 0, "maximum": 1}


def test_the_numbers_for_tuning_have_a_section_of_their_own() -> None:
    form = trigger_form(Dataset(name="d", source="s3://b/{partition}/"))
    sections = {name: param.schema.get("section") for name, param in form.items()}
    assert {name for name, section in sections.items() if section} == {"decode_seconds", "shard_images", "shard_bytes"}
    assert set(sections.values()) == {None, "Tuning"}
    assert form["partition"].schema["examples"] == ["yesterday", "today"]
    assert form["partition"].resolve() == "yesterday"


@pytest.mark.parametrize("name", DOORS)
def test_a_source_of_any_kind_has_a_form_and_a_dag_that_says_where_it_lies(name: str, tmp_path: Path) -> None:
    door = DOORS[name](f"file://{tmp_path}")
    dataset = Dataset.model_validate({"name": "photos", "source": door.source})
    assert trigger_form(dataset)["partition"].value == "yesterday"
    place = door.source.get("uri") or door.source["table"]
    assert features_dag(dataset, tmp_path).description == f"{place} to features.photos"
