"""Texts for tables that people open: no spreadsheet takes one for a formula.

A text that begins as a formula may begin is preceded by an apostrophe, as spreadsheets mark a text themselves. So is
one that begins with an apostrophe: whoever takes away the first one has the text as it was. Exports do not use this:
they are data for programs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MARK = "'"

BEGINNING = "^[=+\\-@\t\r\n＝＋－＠']"
"""What the first character of a text must not be. Spreadsheets take the wide ones for the others."""


def cell(text: str) -> str:
    """A text as it is written in a table for people.

    >>> cell("=1+1"), cell("fig"), cell("'fig")
    ("'=1+1", 'fig', "''fig")
    """
    return MARK + text if re.match(BEGINNING, text) else text


def cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same of a column of texts; a null stays a null."""
    import pyarrow.compute as pc

    return pc.replace_substring_regex(column, BEGINNING, rf"{MARK}\0")


def text(written: str) -> str:
    """The text of a cell.

    >>> text("'=1+1"), text("fig"), text("''fig")
    ('=1+1', 'fig', "'fig")
    """
    return written.removeprefix(MARK)
