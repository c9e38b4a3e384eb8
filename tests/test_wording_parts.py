"""How single kinds of values are refused: bounds, lists, choices, patterns, URLs; and arguments that take several."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from imagefeatures import wording
from imagefeatures.errors import InputError


class Given(BaseModel):
    above: int = Field(2, gt=1, lt=5)
    share: float = Field(0.5, ge=0.25, le=1e6)
    numbers: list[int] = []
    pair: tuple[int, ...] = ()
    mark: Literal["keep"] = "keep"
    three: Literal["a1", "b2", "c3"] = "a1"
    code: str = Field("x", pattern="^x+$")


def refused(field: str, value: Any) -> str:
    with pytest.raises(ValidationError) as error:
        Given.model_validate({field: value})
    assert wording.one_line(error.value) == f"{field}: {wording.only_sentence(error.value)} (got {value!r})"
    return wording.only_sentence(error.value)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("above", 1, "must be above 1"),
        ("above", 5, "must be below 5"),
        ("share", 0.2, "must be at least 0.25"),
        ("share", 2e6, "must be at most 1e+06"),
        ("numbers", "1", "must be a list in brackets: [1]"),
        ("numbers", 7, "must be a list in brackets"),
        ("pair", "1", "must be a list in brackets: [1]"),
        ("pair", 7, "must be a list in brackets"),
        ("mark", "kep", "must be keep (did you mean keep?)"),
        ("mark", ["keep"], "must be keep"),
        ("mark", 7, "must be keep"),
        ("three", "zz", "must be a1, b2 or c3"),
        ("code", "y", "must look like ^x+$"),
    ],
)
def test_a_value_is_refused_with_what_is_allowed(field: str, value: Any, says: str) -> None:
    assert refused(field, value) == says


def test_an_error_of_a_validator_has_the_place_that_it_names() -> None:
    error = wording.error_at(("limits", "formats"), "is not so", [7])
    assert wording.one_line(error) == "limits.formats: is not so (got [7])"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:word@host/x?token=y", "https://…@host/x?…"),
        ("http://host/x#y", "http://host/x?…"),
        ("http://host/x", "http://host/x"),
        ("ftp://me:word@host", "ftp://me:word@host"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    error = wording.error_at(("uri",), "is not read", url)
    assert wording.one_line(error) == f"uri: is not read (got '{shown}')"


@pytest.mark.parametrize("given", ["uri", b"uri", 7, None])
def test_one_value_where_several_are_taken_is_refused(given: Any) -> None:
    with pytest.raises(InputError) as error:
        wording.several("features.photos", "columns", given)
    assert str(error.value) == f"features.photos: columns is {given!r}; give a list: [{given!r}]"


@pytest.mark.parametrize("given", [["uri", "size"], ("uri", "size"), iter(["uri", "size"]), {"uri": 1, "size": 2}])
def test_several_are_taken_from_whatever_gives_them(given: Any) -> None:
    assert wording.several("features.photos", "columns", given) == ["uri", "size"]
