"""What is refused is said in this product's words: what to write instead, and which name was probably meant."""

from __future__ import annotations

import doctest
import re
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from imagefeatures import wording
from imagefeatures.datasets import Dataset
from imagefeatures.limits import FORMATS
from imagefeatures.run_params import RunParams
from support.dataset_files import GOOD
from support.naughty_values import NAUGHTY, NAUGHTY_LIMITS, NAUGHTY_PARAMS

PYDANTIC = re.compile(r"\b(should|valid|Value error|Extra inputs|pattern '|characters?|instance of|parse)\b")
"""How pydantic speaks."""

KINDS = "folder, uri_list, url_table, parquet_bytes or tar"
"""The kinds of sources."""


def refusal(model: type[BaseModel], content: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(content)
    return wording.one_line(refused.value, model)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "Fruit", "must be a name such as fruit: lower-case letters, digits and _, a letter first, 63 at most"),
        ("name", 7, "must be a text; write it in quotes"),
        ("source", "", "must not be empty"),
        ("pattern", [], "must not be empty"),
        ("pattern", 7, "must be a list in brackets"),
        ("schedule", "@daily", 'must be a cron expression at midnight, such as "0 0 * * *"'),
        ("start_date", "2026-11-31", "must be a day of the calendar, such as 2026-11-01"),
        ("start_date", "2026-11-01T12:00:00", "must be a day without a time, such as 2026-11-01"),
        ("start_date", "1969-12-31", "must be at least 1970-01-01"),
        ("engine", "OpenVINO", "must be openvino or tensorflow (did you mean openvino?)"),
        ("engine", "onnx", "must be openvino or tensorflow"),
        ("duplicates", "rejct", "must be keep or reject (did you mean reject?)"),
        ("sample", 0, "must be above 0"),
        ("sample", "abc", "must be a number"),
        ("reuse", "maybe", "must be true or false"),
        ("limits", 7, "must be a mapping of fields"),
    ],
)
def test_a_value_of_a_dataset_file_is_refused_with_what_to_write(field: str, value: Any, says: str) -> None:
    assert refusal(Dataset, GOOD | {field: value}) == f"{field}: {says} (got {value!r})"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("max_bytes", 0, "must be at least 1"),
        ("max_bytes", 1.5, "must be a whole number"),
        ("max_rejected", 1.1, "must be at most 1"),
        ("decode_seconds", 0, "must be at least 0.1"),
        ("formats", "JPEG", "must be a list in brackets: [JPEG]"),
        ("formats", ["jpeg"], "there is no decoder for jpeg (did you mean JPEG?)"),
        ("formats", ["EPS"], f"there is no decoder for EPS (known: {', '.join(sorted(FORMATS))})"),
    ],
)
def test_a_limit_is_refused_with_what_to_write(field: str, value: Any, says: str) -> None:
    assert refusal(Dataset, GOOD | {"limits": {field: value}}) == f"limits.{field}: {says} (got {value!r})"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"patern": "*.jpg"}, "patern: unknown field (did you mean pattern?)"),
        ({"Sample": 1}, "Sample: unknown field (did you mean sample?)"),
        ({"limits": {"max_byte": 7}}, "limits.max_byte: unknown field (did you mean max_bytes?)"),
        ({"max_pixels": 7}, "max_pixels: unknown field here; it belongs to limits"),
        ({"limits": {"reuse": True}}, "limits.reuse: unknown field here; it belongs to the first level"),
        (
            {"source": {"uri": "s3://b/", "url": "u"}},
            "source.url: unknown field here; it belongs to source of kind url_table",
        ),
        ({"uri": "s3://b/"}, "uri: unknown field here; it belongs to source or model or models"),
        (
            {"label": {"column": "kind"}},
            "label: must be a text; a column is named inside source, as label: {column: …} (got {'column': 'kind'})",
        ),
        ({"source": {"uri": "s3://b/", "patern": ["a"]}}, "source.patern: unknown field (did you mean pattern?)"),
        ({"source": {"kind": "foldr", "uri": "s3://b/"}}, f"source.kind: must be {KINDS} (did you mean folder?)"),
    ],
)
def test_a_field_that_is_unknown_is_named_with_the_one_that_was_meant(content: dict[str, Any], says: str) -> None:
    assert refusal(Dataset, GOOD | content).removesuffix(" (got 'foldr')") == says


def test_a_parameter_like_no_other_is_told_which_there_are() -> None:
    known = ", ".join(sorted(RunParams.model_fields))
    assert refusal(RunParams, {"batch": 32}) == f"batch: unknown field (known: {known})"
    assert refusal(RunParams, {"shard_imagez": 5}) == "shard_imagez: unknown field (did you mean shard_images?)"
    says = "must be a name such as 2026-11-02: letters, digits, _, . and -, the first no sign, 64 at most"
    assert refusal(RunParams, {"partition": "2026/11/02"}) == f"partition: {says} (got '2026/11/02')"


@pytest.mark.parametrize(("mistakes", "end"), [(20, ""), (21, "; and 1 more"), (25, "; and 5 more")])
def test_the_first_twenty_mistakes_are_named_and_the_others_counted(mistakes: int, end: str) -> None:
    names = [f"{number:02d}" for number in range(mistakes)]
    fields = ", ".join(sorted(RunParams.model_fields))
    sentences = [f"{name}: unknown field (known: {fields})" for name in names[:20]]
    assert refusal(RunParams, dict.fromkeys(names)) == "; ".join(sentences) + end


@pytest.mark.parametrize(
    ("value", "shown"),
    [("x" * 78, f"'{'x' * 78}'"), ("x" * 79, f"'{'x' * 79}…"), (10**5000, "a value of type int")],
    ids=["80 characters", "81 characters", "more digits than Python writes"],
)
def test_a_long_value_is_shown_by_its_first_80_characters(value: object, shown: str) -> None:
    assert refusal(Dataset, GOOD | {"reuse": value}) == f"reuse: must be true or false (got {shown})"


def test_nothing_that_is_refused_is_said_in_pydantics_words() -> None:
    refused = [refusal(Dataset, GOOD | {field: value}) for field, values in NAUGHTY.items() for value in values]
    for field, values in NAUGHTY_LIMITS.items():
        refused += [refusal(Dataset, GOOD | {"limits": {field: value}}) for value in values]
    refused += [refusal(RunParams, {field: value}) for field, values in NAUGHTY_PARAMS.items() for value in values]
    assert len(refused) > 150
    assert [text for text in refused if PYDANTIC.search(text.partition(" (got")[0])] == []


def test_the_examples_are_true() -> None:
    results = doctest.testmod(wording)
    assert (results.failed, results.attempted) == (0, 5)
