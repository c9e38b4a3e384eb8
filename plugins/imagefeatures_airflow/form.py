"""The trigger forms: fields and bounds of the parameters as Airflow params; and which partition a filled form names."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import Param

from imagefeatures import names
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures.learning.declared import Classify
from imagefeatures.run_params import (
    ClassifyParams,
    ForgetParams,
    RedriveParams,
    RunParams,
    UnpublishParams,
    UpkeepParams,
    day_named,
)  # fmt: skip

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

Chosen = TypeVar("Chosen", RedriveParams, UnpublishParams)

DEFAULT_DAY = "yesterday"
"""What the form has in the field for the partition. It is a word, so that a DAG is the same text every day."""


WHOLE_SOURCE = (
    f"Leave it empty: the source is the same for every partition, so a run fills {names.WHOLE_SOURCE!r} and replaces "
    "its rows. Another partition publishes the same objects again beside it."
)
"""What the form says of the partition where the source has no place for it."""


def trigger_form(dataset: Dataset) -> dict[str, Param]:
    """One field per run parameter: type, bounds, title and description. The dataset file's value is the default."""
    preset = RunParams.overridden(dataset)
    if dataset.source.by_partition:
        preset["partition"] = DEFAULT_DAY
    fields = RunParams.model_json_schema()["properties"]
    if not dataset.source.by_partition:
        fields["partition"]["description"] = WHOLE_SOURCE
    return {name: Param(preset.get(name, field["default"]), **_flat(field)) for name, field in fields.items()}


def redrive_form() -> dict[str, Param]:
    """One field for each parameter of a re-drive. An empty one chooses everything."""
    fields = RedriveParams.model_json_schema()["properties"]
    return {name: Param(field["default"], **_flat(field)) for name, field in fields.items()}


def unpublish_form() -> dict[str, Param]:
    """One field for each parameter of a withdrawal. Without a reason there is none."""
    return _upkeep_form(UnpublishParams)


def forget_form() -> dict[str, Param]:
    """One field for each parameter of a request that images be forgotten, in the same way."""
    return _upkeep_form(ForgetParams)


def upkeep_form() -> dict[str, Param]:
    """One field: whether upkeep only looks."""
    return _upkeep_form(UpkeepParams)


def _upkeep_form(params: type[UnpublishParams | ForgetParams | UpkeepParams]) -> dict[str, Param]:
    fields = params.model_json_schema()["properties"]
    return {
        name: Param(field["default"], **_flat(field)) if "default" in field else Param(**_flat(field))
        for name, field in fields.items()
    }


def classify_form(classify: Classify) -> dict[str, Param]:
    """One field for each parameter of a fit. The value of the dataset file is the default."""
    fields = ClassifyParams.model_json_schema()["properties"]
    return {name: Param(getattr(classify, name), **_flat(field)) for name, field in fields.items()}


def redrive_params_of(params: Mapping[str, Any], run: DagRunProtocol | None = None) -> RedriveParams:
    """The parameters of a re-drive. params, run: as for `params_of`. Raises ParamsError."""
    return _with_day(RedriveParams.parse(dict(params)), run)


def unpublish_params_of(params: Mapping[str, Any], run: DagRunProtocol | None = None) -> UnpublishParams:
    """The parameters of a withdrawal, in the same way."""
    return _with_day(UnpublishParams.parse(dict(params)), run)


def _with_day(given: Chosen, run: DagRunProtocol | None) -> Chosen:
    if given.partition and run:
        # Counted from the trigger, as for any run.
        return given.model_copy(update={"partition": day_named(given.partition, run.run_after)})
    return given


def params_of(params: Mapping[str, Any], partition_key: str | None, run: DagRunProtocol | None = None) -> RunParams:
    """The parameters of a DAG run, with the partition that it fills; None where nothing names one.

    params: the form's fields, as they were sent, and the defaults of the others. partition_key: the key by which
    Airflow knows the run: a scheduled run's, a backfill's, or what was typed into the field of Airflow's own. run: None
    where there is none, as in a test. Raises ParamsError, also for a parameter that there is not.
    """
    given = RunParams.parse(dict(params))
    asked = given.partition
    if partition_key:
        # The form sends its default too, and a backfill sends its form to each of its runs.
        if asked and asked.lower() != DEFAULT_DAY and asked != partition_key:
            raise ParamsError(
                f"partition: the parameters say {asked}, but this run's own partition key is {partition_key}; "
                f"leave the parameter as it is in backfills and scheduled runs"
            )
        asked = partition_key
    elif asked and run and run.logical_date and "partition" not in (run.conf or {}):
        # A source that is the same for every partition has no default, and stays one partition: TriggerDagRunOperator
        # sends a logical date of its own.
        asked = str(run.logical_date.astimezone(dt.UTC).date())
    elif asked:
        # Counted from the trigger: a retry on the next day fills the same day.
        asked = day_named(asked, run.run_after if run else dt.datetime.now(dt.UTC))
    return RunParams.parse({**params, "partition": asked})


def _flat(field: dict[str, Any]) -> dict[str, Any]:
    """The schema as the form needs it. For "a number or null" pydantic has two schemas, the form one with two types."""
    schema = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
    for alternative in field.get("anyOf", []):
        types = [*schema.get("type", []), alternative["type"]]
        schema |= {**alternative, "type": types}
    return schema
