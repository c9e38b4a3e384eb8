"""Conditions on rows as they are handed to pyiceberg."""

from __future__ import annotations

from pyiceberg.expressions import (
    And,
    EqualTo,
    GreaterThan,
    IsNull,
    LessThanOrEqual,
    Not,
    NotEqualTo,
    NotIn,
    NotNull,
    Or,
)

from imagefeatures.catalog import filters


def test_the_picture_as_it_is_has_number_0_or_none_and_a_copy_its_own() -> None:
    assert filters.of_copy(0) == Or(EqualTo("copy", 0), IsNull("copy"))
    assert filters.of_copy(2) == EqualTo("copy", 2)


def test_no_null_is_met_by_not_in_however_deep_it_stands() -> None:
    without, proper = NotIn("label", {"a", "b"}), NotNull("label")
    assert filters.as_in_sql(without) == And(proper, without)
    assert filters.as_in_sql(And(EqualTo("n", 1), without)) == And(EqualTo("n", 1), And(proper, without))
    assert filters.as_in_sql(Or(without, EqualTo("n", 1))) == Or(And(proper, without), EqualTo("n", 1))
    assert filters.as_in_sql(Not(Or(EqualTo("n", 1), GreaterThan("m", 2)))) == And(
        NotEqualTo("n", 1), LessThanOrEqual("m", 2)
    )
