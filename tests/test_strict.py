"""Models that take nothing for what it is not, and texts that cannot be stored."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from imagefeatures.strict import FrozenModel, StrictModel, unusable_texts


class Given(StrictModel):
    count: int = 0
    text: str = ""
    flag: bool = False
    maybe: bool | None = None


@pytest.mark.parametrize("field", ["count", "text"])
@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_is_no_number_and_no_text(field: str, value: bool) -> None:
    with pytest.raises(ValidationError, match=rf"{field}\n.*must not be true or false"):
        Given.model_validate({field: value})


def test_it_is_one_where_one_is_wanted_and_other_values_stay() -> None:
    given: dict[str, Any] = {"count": 3, "text": "x", "flag": True, "maybe": True}
    assert Given.model_validate(given).model_dump() == given


@pytest.mark.parametrize("model", [FrozenModel, Given])
def test_unknown_fields_are_refused(model: type[FrozenModel]) -> None:
    with pytest.raises(ValidationError, match=r"other\n.*Extra inputs"):
        model.model_validate({"other": 1})


def test_no_field_changes() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Given(count=1).count = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ("a\0", [""]),
        ({"source": {"uri": "s3://b/\0/"}, "label": "none"}, ["source.uri"]),
        ({"a": ["x", "\ud800", ("y", "\udfff")]}, ["a.1", "a.2.1"]),
        ({"k\0": "v"}, ["k\0"]),
        (("\ud7ff", "\ue000", "?", 7, None, True, 0.5), []),
    ],
)
def test_texts_that_cannot_be_stored_are_found_at_any_place(content: object, places: list[str]) -> None:
    assert list(unusable_texts(content)) == places
