"""Conditions on a table's rows, typed: mypy does not see the constructors that pyiceberg gives its expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from pyiceberg.expressions import (
    And,
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    In,
    IsNull,
    LessThan,
    NotIn,
    NotNull,
    Or,
)
from pyiceberg.expressions.visitors import rewrite_not

equal = cast("Callable[[str, str], BooleanExpression]", EqualTo)
"""equal("dataset", "fruit"): rows whose column has this value."""

one_of = cast("Callable[[str, Iterable[str]], BooleanExpression]", In)
"""one_of("partition_key", keys): rows whose column has one of these values."""

is_null = cast("Callable[[str], BooleanExpression]", IsNull)
"""is_null("label"): rows whose column has no value."""

below = cast("Callable[[str, str], BooleanExpression]", LessThan)
"""below("image_id", text): rows whose column has a smaller value."""

at_least = cast("Callable[[str, str], BooleanExpression]", GreaterThanOrEqual)
"""at_least("image_id", text): rows whose column has this value or a greater one."""

_equals_number = cast("Callable[[str, int], BooleanExpression]", EqualTo)

_is_not_null = cast("Callable[[Any], BooleanExpression]", NotNull)


def of_copy(number: int) -> BooleanExpression:
    """Rows of augmented copies with this number. 0: of the pictures as they are; older rows have none."""
    same = _equals_number("copy", number)
    return same if number else Or(same, is_null("copy"))


def as_in_sql(condition: BooleanExpression) -> BooleanExpression:
    """The condition without Not, and such that a null is never met by NotIn: pyiceberg's lets every null pass."""
    return _without_nulls(rewrite_not(condition))


def _without_nulls(condition: BooleanExpression) -> BooleanExpression:
    match condition:
        case And():
            return And(_without_nulls(condition.left), _without_nulls(condition.right))
        case Or():
            return Or(_without_nulls(condition.left), _without_nulls(condition.right))
        case NotIn():
            return And(_is_not_null(condition.term), condition)
    return condition
