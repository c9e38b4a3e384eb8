"""The documents agree with the code: the fields of dataset files and run parameters, and the files that are shown."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from imagefeatures import run_params
from imagefeatures.datasets import Dataset
from imagefeatures.learning.declared import Classify
from imagefeatures.limits import Limits
from imagefeatures.models.own.declared import Normalization, OwnModel
from imagefeatures.models.serving.declared import ServedEngine, ServedModel
from imagefeatures.preprocessing.bands import Channels
from imagefeatures.quality.declared import Alerts
from imagefeatures.settings import REPOSITORY
from imagefeatures.sources import Folder, IcebergTable, ParquetBytes, Tar, UriList, UrlTable
from imagefeatures.sources.http import HttpOptions
from support.snippets import DOCUMENTS, plain, section, sections

README = REPOSITORY / "README.md"
CONFIGURATION = REPOSITORY / "docs" / "configuration.md"

FIELDS = {
    "Dataset": (Dataset, "Dataset file"),
    "Folder": (Folder, "Folder"),
    "UriList": (UriList, "URI lists"),
    "UrlTable": (UrlTable, "URL tables"),
    "IcebergTable": (IcebergTable, "Iceberg tables"),
    "ParquetBytes": (ParquetBytes, "Parquet with bytes"),
    "Tar": (Tar, "Tar archives"),
    "HttpOptions": (HttpOptions, "HTTP"),
    "Channels": (Channels, "Channels"),
    "OwnModel": (OwnModel, "Own models"),
    "Normalization": (Normalization, "Normalize"),
    "ServedEngine": (ServedEngine, "Model servers"),
    "ServedModel": (ServedModel, "Served models"),
    "Limits": (Limits, "Limits"),
    "Classify": (Classify, "Classify"),
    "Alerts": (Alerts, "Alerts"),
    "RunParams": (run_params.RunParams, "Run parameters"),
    "RedriveParams": (run_params.RedriveParams, "Re-drive parameters"),
    "UnpublishParams": (run_params.UnpublishParams, "Unpublish parameters"),
    "ForgetParams": (run_params.ForgetParams, "Forget parameters"),
    "UpkeepParams": (run_params.UpkeepParams, "Upkeep parameters"),
    "ClassifyParams": (run_params.ClassifyParams, "Classify parameters"),
}


@pytest.mark.parametrize("kind", FIELDS)
def test_every_field_is_documented_with_its_type_bounds_and_default(kind: str) -> None:
    model, title = FIELDS[kind]
    (table,) = section(CONFIGURATION, title).tables
    documented = {plain(row[0]): row for row in table}
    names = {info.alias or field: field for field, info in model.model_fields.items()}
    assert list(documented) == list(names)
    for field, schema in model.model_json_schema()["properties"].items():
        _, type_, allowed, default, meaning = documented[field]
        assert type_ == type_of(schema), field
        assert default_of(model, names[field]) in (plain(default), None), field
        assert bounds_of(schema) in (plain(allowed), None), field
        assert meaning


def flat(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of the value, where pydantic writes "value or null"."""
    return next((one for one in schema.get("anyOf", []) if one.get("type") != "null"), schema)


def type_of(schema: dict[str, Any]) -> str:
    schema = flat(schema)
    if {"$ref", "allOf", "oneOf"} & set(schema):
        return "mapping"
    if schema.get("format") == "date":
        return "date"
    kinds = {"string": "text", "integer": "whole number", "number": "number", "boolean": "truth value"}
    if schema["type"] != "array":
        return kinds[schema["type"]]
    inner = schema.get("items") or schema["prefixItems"][0]
    inner_type = "string" if "enum" in inner else inner.get("type")
    return f"list of {kinds[inner_type]}s" if inner_type in kinds else "list of mappings"


def bounds_of(schema: dict[str, Any]) -> str | None:
    """None: what is allowed is told in words."""
    schema = flat(schema)
    if schema.get("type") == "boolean":
        return "true or false"
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return " or ".join(schema["enum"])
    if "pattern" in schema:
        return schema["pattern"].replace("\\", "")
    if "exclusiveMinimum" in schema:
        return f"above {number(schema['exclusiveMinimum'])}, to {number(schema['maximum'])}"
    if "minimum" in schema:
        return f"{number(schema['minimum'])} to {number(schema['maximum'])}"
    return None


def default_of(model: type[BaseModel], field: str) -> str | None:
    """None: the default is told in words."""
    info = model.model_fields[field]
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    if isinstance(value, BaseModel | tuple):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, list):
        return str(value).replace("'", '"')
    if isinstance(value, str | dt.date):
        return str(value)
    return number(value)


def number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def test_dataset_files_in_documents_are_right() -> None:
    shown = {
        path: yaml.safe_load(code)
        for path in DOCUMENTS
        for part in sections(path)
        for language, code in part.blocks
        if language == "yaml"
    }
    assert {README, CONFIGURATION} <= set(shown)
    for content in shown.values():
        Dataset.model_validate(content)
    assert list(shown[CONFIGURATION]) == list(Dataset.model_fields)
