"""Conditions on a table's rows, typed: mypy does not see the constructors that pyiceberg gives its expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from pyiceberg.expressions import BooleanExpression, EqualTo, GreaterThanOrEqual, In, IsNull, LessThan

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
