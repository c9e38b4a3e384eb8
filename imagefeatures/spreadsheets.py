"""Texts for tables that people open: no spreadsheet takes one for a formula.

A text that begins as a formula may begin is preceded by an apostrophe, as spreadsheets mark a text themselves. So is
one that begins with an apostrophe: whoever takes it away has the text as it was. The same is done after a semicolon or
a tab in a text, where spreadsheets of other countries end a cell. Exports do not use this: they are data for programs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MARK = "'"

_BEGINNING = "^[=+\\-@\t\r\n＝＋－＠']"
"""What the first character of a text must not be. Spreadsheets take the wide ones for the others."""

_INSIDE = "([;\t])([=+\\-@＝＋－＠'])"
"""The same after a character that may separate cells."""


def cell(text: str) -> str:
    """A text as it is written in a table for people.

    >>> cell("=1+1"), cell("fig"), cell("'fig"), cell("fig;=1+1")
    ("'=1+1", 'fig', "''fig", "fig;'=1+1")
    """
    return re.sub(_BEGINNING, rf"{MARK}\g<0>", re.sub(_INSIDE, rf"\1{MARK}\2", text))


def cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same of a column of texts; a null stays a null."""
    import pyarrow.compute as pc

    inside = pc.replace_substring_regex(column, _INSIDE, rf"\1{MARK}\2")
    return pc.replace_substring_regex(inside, _BEGINNING, rf"{MARK}\0")


def text(written: str) -> str:
    """The text of a cell.

    >>> text("'=1+1"), text("fig"), text("''fig"), text("fig;'=1+1")
    ('=1+1', 'fig', "'fig", 'fig;=1+1')
    """
    return re.sub(rf"([;\t]){MARK}", r"\1", written.removeprefix(MARK))
