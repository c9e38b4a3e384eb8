"""The detail of a rejection is one line of bounded length."""

from __future__ import annotations

import pytest

from imagefeatures.reasons import printable


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a b\tc\nd\x1b[31mé\u202e", r"a b\tc\nd\x1b[31mé\u202e"),
        ("x" * 500, "x" * 500),
        ("x" * 501, "x" * 499 + "…"),
        ("\n" * 251, r"\n" * 249 + "\\…"),
        (ValueError(7), "7"),
    ],
)
def test_a_text_is_told_on_one_line_of_500_characters(text: object, line: str) -> None:
    assert printable(text) == line
