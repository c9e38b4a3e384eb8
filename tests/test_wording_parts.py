"""How single kinds of values are refused: bounds, lists, choices, patterns, URLs; and arguments that take several."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from imagefeatures import names, wording
from imagefeatures.errors import InputError


class Given(BaseModel):
    above: int = Field(2, gt=1, lt=5)
    share: float = Field(0.5, ge=0.25, le=1e6)
    numbers: list[int] = []
    pair: tuple[int, ...] = ()
    mark: Literal["keep"] = "keep"
    three: Literal["a1", "b2", "c3"] = "a1"
    code: str = Field("x", pattern="^x+$")
    called: str = Field("a.b", pattern=names.IMPORT_PATH)
    finite: float = Field(1, allow_inf_nan=False)


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
        ("called", "a", "must be a module and a name in it, such as my_module.my_notifier"),
        ("finite", float("inf"), "must be a number"),
    ],
)
def test_a_value_is_refused_with_what_is_allowed(field: str, value: Any, says: str) -> None:
    assert refused(field, value) == says


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Pear(Closed):
    kind: Literal["pear"]
    stalk: int = 0


class Plum(Closed):
    kind: Literal["plum", "sloe"]
    stone: int
    hull: int = 0


class Cherry(Closed):
    kind: Literal["cherry"]
    stone: int = 0


class Box(Closed):
    wide: int = 0


class Bag(Closed):
    light: int = 0


class Basket(Closed):
    source: Annotated[Pear | Plum | Cherry, Field(discriminator="kind")] = Pear(kind="pear")
    inside: Box | Bag = Box()
    day: dt.date = Field(dt.date(2026, 11, 1), strict=True)
    named: int = Field(0, alias="called")

    @model_validator(mode="after")
    def _fits(self) -> Basket:
        if self.named == 7:
            raise ValueError("called: 7 does not fit")
        return self


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"source": {"kind": "plum"}}, "source.stone: is required"),
        ({"source": 7}, "source: must be a mapping of fields (got 7)"),
        ({"called": 7}, "called: 7 does not fit"),
        ({"source": {"kind": "plum", "stone": 1, "zzz": 1}}, "source.zzz: unknown field (known: hull, kind, stone)"),
        ({"source": {"kind": "cherry", "zzz": 1}}, "source.zzz: unknown field (known: kind, stone)"),
        (
            {"inside": {"zzz": 1}},
            "inside.Box.zzz: unknown field (known: wide); inside.Bag.zzz: unknown field (known: wide)",
        ),
        ({"named": 1}, "named: unknown field (known: called, day, inside, source)"),
        ({"stalk": 1}, "stalk: unknown field here; it belongs to source of kind pear"),
        ({"hull": 1}, "hull: unknown field here; it belongs to source of kind plum or sloe"),
        ({"stone": 1}, "stone: unknown field here; it belongs to source"),
        ({"source": {"kind": "pear", "inside": 1}}, "source.inside: unknown field here; it belongs to the first level"),
    ],
)
def test_a_field_is_refused_by_its_place(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as error:
        Basket.model_validate(given)
    assert wording.one_line(error.value, Basket) == says


def test_a_day_of_json_that_no_calendar_has_is_refused() -> None:
    with pytest.raises(ValidationError) as error:
        Basket.model_validate_json('{"day": "2026-13-01"}')
    assert wording.only_sentence(error.value) == "must be a day of the calendar, such as 2026-11-01"


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
