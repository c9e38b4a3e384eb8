"""What is known of a picture between two transforms, before any picture is decoded; and the bounds of its sides."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason

MOST_PIXELS = 2**26
"""The most pixels that a transform may make of a picture: 256 MiB in Pillow's memory, with the decode child's 2 GiB."""


class Shape(NamedTuple):
    """Height, width and channels; None: those of each picture. longest: the most pixels of an open side, if known."""

    height: int | None = None
    width: int | None = None
    channels: int | None = None
    longest: int | None = None


def not_a_truth_value(given: Any) -> Any:
    if isinstance(given, bool):  # Python would count it as 1
        raise ValueError("must not be true or false")
    return given


def _in_words(words: str) -> WrapValidator:
    """One sentence for whatever is wrong with a value of several parts."""

    def check(given: Any, inner: ValidatorFunctionWrapHandler) -> Any:
        try:
            return inner(given)
        except ValidationError:
            raise ValueError(words) from None

    return WrapValidator(check)


def _of_three(given: Any) -> Any:
    if isinstance(given, str) and given in COLOURS:
        return COLOURS[given]
    return (given, given, given) if isinstance(given, int | str) else given


COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0)}

WholeNumber = Annotated[int, BeforeValidator(not_a_truth_value)]
Side = Annotated[WholeNumber, Field(ge=1, le=4096)]
"""A side in pixels."""

Size = Annotated[tuple[Side, Side], _in_words("must be [height, width], each from 1 to 4096")]
"""Height and width in pixels, in this order."""

Value = Annotated[WholeNumber, Field(ge=0, le=255)]
"""A value of one channel."""

Colour = Annotated[
    tuple[Value, Value, Value],
    BeforeValidator(_of_three, json_schema_input_type=int | str | list[int]),
    _in_words("must be white, black, [red, green, blue] or one number for all three, each from 0 to 255"),
]
"""Red, green and blue."""


def check_work(transform: str, height: int, width: int, before: int) -> None:
    """Check what a resize would allocate, before it does. before: the picture's height until then, in pixels.

    Pillow resizes the rows first, so there is a picture of the new width and the old height for a while. Raises
    Rejected (TOO_MANY_PIXELS).
    """
    if max(height, before) * width > MOST_PIXELS:
        detail = f"{transform} would make {height:,} × {width:,} pixels of it, by way of {before:,} × {width:,}"
        raise Rejected(Reason.TOO_MANY_PIXELS, f"{detail}; {MOST_PIXELS:,} is the most")
