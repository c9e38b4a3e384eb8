"""Conditions on a table's rows, typed: mypy does not see the constructors that pyiceberg gives its expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from pyiceberg.expressions import BooleanExpression, EqualTo, In, IsNull

equal = cast("Callable[[str, str], BooleanExpression]", EqualTo)
"""equal("dataset", "fruit"): rows whose column has this value."""

one_of = cast("Callable[[str, Iterable[str]], BooleanExpression]", In)
"""one_of("partition_key", keys): rows whose column has one of these values."""

is_null = cast("Callable[[str], BooleanExpression]", IsNull)
"""is_null("label"): rows whose column has no value."""
