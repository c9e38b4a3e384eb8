"""The trigger form: the fields and bounds of `RunParams` as Airflow params."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from imagefeatures.datasets import Dataset
from imagefeatures.run_params import RunParams


def trigger_form(dataset: Dataset) -> dict[str, Param]:
    """One field per run parameter: type, bounds, title and description. The dataset file's value is the default."""
    preset = RunParams.overridden(dataset)
    fields = RunParams.model_json_schema()["properties"]
    return {name: Param(preset.get(name, field["default"]), **_flat(field)) for name, field in fields.items()}


def _flat(field: dict[str, Any]) -> dict[str, Any]:
    """The schema as the form needs it. For "a number or null" pydantic has two schemas, the form one with two types."""
    schema = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
    for alternative in field.get("anyOf", []):
        types = [*schema.get("type", []), alternative["type"]]
        schema |= {**alternative, "type": types}
    return schema
