"""The trigger form: `RunParams` and its bounds, in Airflow's words."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from imagefeatures.datasets import Dataset, RunParams


def trigger_form(dataset: Dataset) -> dict[str, Param]:
    """One form field for each run parameter, with type, bounds, title and description, preset for the dataset."""
    preset = RunParams.overridden(dataset)
    fields = RunParams.model_json_schema()["properties"]
    return {name: Param(preset.get(name, field["default"]), **_flat(field)) for name, field in fields.items()}


def _flat(field: dict[str, Any]) -> dict[str, Any]:
    """pydantic writes "a number or null" as two schemas; the form wants one with two types."""
    schema = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
    for alternative in field.get("anyOf", []):
        types = [*schema.get("type", []), alternative["type"]]
        schema |= {**alternative, "type": types}
    return schema
