"""Texts in tables for people: no spreadsheet takes one for a formula, and each can be read back."""

from __future__ import annotations

import pyarrow as pa
import pytest

from imagefeatures import spreadsheets

WRITTEN = {
    "fig": "fig",
    "=1+1": "'=1+1",
    "+1": "'+1",
    "-1": "'-1",
    "@x": "'@x",
    "＝1": "'＝1",
    "\tx": "'\tx",
    "'fig": "''fig",
    "fig;=1+1": "fig;'=1+1",
    "a\t-b;'c": "a\t'-b;''c",
    "=a;@b": "'=a;'@b",
    "": "",
}


@pytest.mark.parametrize(("text", "written"), WRITTEN.items())
def test_a_text_that_begins_as_a_formula_is_marked_and_read_as_it_was(text: str, written: str) -> None:
    assert spreadsheets.cell(text) == written
    assert spreadsheets.text(written) == text


def test_a_column_is_written_as_its_texts_and_a_null_stays() -> None:
    column = pa.chunked_array([list(WRITTEN), [None, "=x"]], pa.string())
    assert spreadsheets.cells(column).to_pylist() == [*WRITTEN.values(), None, "'=x"]
