"""Refused dataset files and run parameters: every error names the file and the field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from imagefeatures.dataset_files import load_dataset
from imagefeatures.datasets import Dataset
from imagefeatures.errors import DatasetError, ParamsError
from imagefeatures.learning.declared import Classify
from imagefeatures.limits import Limits
from imagefeatures.quality.declared import Alerts
from imagefeatures.run_params import RunParams
from imagefeatures.wording import one_line
from support.dataset_files import GOOD, written
from support.naughty_values import NAUGHTY, NAUGHTY_ALERTS, NAUGHTY_CLASSIFY, NAUGHTY_LIMITS, NAUGHTY_PARAMS


def each(table: dict[str, list[Any]]) -> list[Any]:
    return [pytest.param(f, v, id=f"{f}={str(v)[:20]!r}") for f, values in table.items() for v in values]


def test_every_field_has_its_naughty_values() -> None:
    assert set(NAUGHTY) == set(Dataset.model_fields)
    assert set(NAUGHTY_LIMITS) == set(Limits.model_fields)
    assert set(NAUGHTY_CLASSIFY) == set(Classify.model_fields)
    assert set(NAUGHTY_ALERTS) == set(Alerts.model_fields)
    assert set(NAUGHTY_PARAMS) == set(RunParams.model_fields)


@pytest.mark.parametrize(("field", "value"), each(NAUGHTY))
def test_a_naughty_value_in_a_dataset_file_is_refused_with_file_and_field(
    field: str, value: Any, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=rf"^fruit\.yaml: {field}(\.\d+)?: [^\n]+\Z"):
        load_dataset(written(tmp_path, GOOD | {field: value}))


@pytest.mark.parametrize(("field", "value"), each(NAUGHTY_LIMITS))
def test_a_naughty_limit_is_refused_with_file_and_field(field: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"^fruit\.yaml: limits\.{field}: [^\n]+\Z"):
        load_dataset(written(tmp_path, GOOD | {"limits": {field: value}}))


@pytest.mark.parametrize(("field", "value"), each(NAUGHTY_CLASSIFY))
def test_a_naughty_value_for_a_classifier_is_refused_with_file_and_field(
    field: str, value: Any, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=rf"^fruit\.yaml: classify\.{field}: [^\n]+\Z"):
        load_dataset(written(tmp_path, GOOD | {"classify": {field: value}}))


@pytest.mark.parametrize(("field", "value"), each(NAUGHTY_ALERTS))
def test_a_naughty_value_for_alerts_is_refused_with_file_and_field(field: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"^fruit\.yaml: alerts\.{field}: [^\n]+\Z"):
        load_dataset(written(tmp_path, GOOD | {"alerts": {field: value}}))


@pytest.mark.parametrize(("field", "value"), each(NAUGHTY_PARAMS))
def test_a_naughty_parameter_is_refused_with_its_field(field: str, value: Any) -> None:
    with pytest.raises(ParamsError, match=rf"^{field}: [^\n]+\Z"):
        RunParams.parse({field: value})


def test_a_day_that_does_not_exist_is_refused_with_its_field(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError,
        match=r"^fruit\.yaml: start_date: must be a day of the calendar, such as 2026-11-01 \(got '2026-11-31'\)$",
    ):
        load_dataset(written(tmp_path, "name: fruit\nsource: s3://b/\nstart_date: 2026-11-31\n"))


def test_unknown_keys_are_named(tmp_path: Path) -> None:
    content = GOOD | {"patern": "*.jpg", "limits": {"max_byte": 7}}
    with pytest.raises(DatasetError) as refused:
        load_dataset(written(tmp_path, content))
    mistakes = str(refused.value).removeprefix("fruit.yaml: ").split("; ")
    assert mistakes == [
        "limits.max_byte: unknown field (did you mean max_bytes?)",
        "patern: unknown field (did you mean pattern?)",
    ]
    with pytest.raises(ParamsError, match=r"^batch: unknown field \(known: decode_seconds, "):
        RunParams.parse({"batch": 32})


def test_missing_fields_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"^fruit\.yaml: name: is required; source: is required$"):
        load_dataset(written(tmp_path, {"label": "none"}))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"name": "quarantine"}, "name: 'quarantine' is the service's own table; choose another name"),
        ({"name": "fruit_pixels"}, "name: a table of pixels has a name that ends in _pixels; choose another name"),
        ({"features": "none"}, "features: none publishes nothing; say pixels: keep too, or leave it out"),
        (
            {"features": "none", "pixels": "keep", "models": ["mobilenet_v2", "resnet50"]},
            "models: needs vectors, and features: none makes none; remove one of them",
        ),
        ({"name": "runs"}, "name: 'runs' is the service's own table; choose another name"),
        ({"source": 7}, "source: must be a text such as s3://bucket/folder/, or a mapping with uri"),
        ({"source": "http://x/y"}, "source: must be s3://bucket/… or file:///…, or a path relative to this file"),
        ({"pattern": None}, "pattern: must be a list of texts"),
        (
            {"source": {"uri": "s3://b/", "pattern": ["*.png"]}, "pattern": "*.jpg"},
            "pattern: is set in source too; remove one of them",
        ),
        (
            {"source": {"uri": "s3://b/", "exclude": ["a"]}, "exclude": ["b"]},
            "exclude: is set in source too; remove one of them",
        ),
        ({"model": "resnet34"}, "model: must be one of mobilenet, mobilenet_v2, mobilenet_v3_small, "),
        ({"models": "resnet50"}, "models: must be a list of models; for one alone write model"),
        (
            {"models": ["resnet50", "vgg16", "resnet50"]},
            "models: resnet50 is there twice; give one of them another name",
        ),
        (
            {"model": "vgg16", "models": ["resnet50"]},
            "model: is set beside models; remove it, and name it first in models",
        ),
        (
            {"name": "f" * 45, "models": ["resnet50", "mobilenet_v3_small"]},
            f"models: the name of the table {'f' * 45}__mobilenet_v3_small has 65 characters, and at most 63 are ",
        ),
        (
            {"engine": "tensorflow", "models": ["resnet50", {"name": "b", "uri": "b.onnx", "normalize": "tf"}]},
            "engine: runs no model of format onnx; leave it out, or say openvino",
        ),
        ({"label": "no group"}, "label: the regular expression needs exactly one group, it has 0"),
        ({"label": "(a)(b)"}, "label: the regular expression needs exactly one group, it has 2"),
        ({"label": "("}, "label: neither parent, none nor a regular expression: missing )"),
        ({"schedule": "0 3 * * *"}, 'schedule: must be a cron expression at midnight, such as "0 0 * * *"'),
        ({"schedule": "0 0 * * fry"}, "schedule: is not a cron expression: 'fry' is neither a month nor a weekday"),
        ({"schedule": "0 0 31 2 *"}, "schedule: is not a cron expression: "),
    ],
)
def test_what_is_refused_says_why(content: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Dataset.model_validate(GOOD | content)
    assert one_line(refused.value, Dataset).startswith(says)


def test_one_error_names_all_mistakes(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"sample: .*; limits\.max_bytes: "):
        load_dataset(written(tmp_path, GOOD | {"sample": 7, "limits": {"max_bytes": 0}}))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("name: [fruit", "not YAML", id="unclosed list"),
        pytest.param("name: fruit\n\tsource: x", "not YAML", id="tab"),
        pytest.param("name: !!python/object/apply:os.system [id]", "not YAML", id="python tag"),
        pytest.param("limits: {max_bytes: !!int many}", "not YAML", id="a tag that does not fit"),
        pytest.param("", "expected a mapping of fields, found NoneType", id="empty"),
        pytest.param("- name: fruit", "expected a mapping of fields, found list", id="list"),
        pytest.param("fruit", "expected a mapping of fields, found str", id="text"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_in_one_line(content: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"^fruit\.yaml: {says}") as refused:
        load_dataset(written(tmp_path, content))
    assert "\n" not in str(refused.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fruit.yaml"
    path.write_bytes("name: früchte".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"^fruit\.yaml: not YAML: .*utf-8"):
        load_dataset(path)


def test_the_dataset_name_must_be_the_file_name(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"^pears\.yaml: name: must be the file's own name, 'pears' \(got 'fruit'\)$"
    ):
        load_dataset(written(tmp_path, GOOD, "pears.yaml"))
