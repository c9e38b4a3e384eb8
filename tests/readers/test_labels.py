"""Labels as numbers, whatever column they stand in."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from imagefeatures.readers.labels import encode, names_in


def test_the_number_of_a_label_is_its_place_among_the_names() -> None:
    column = pa.array(["pear", None, "apple", "plum"])
    for labels in (column, pa.chunked_array([column.slice(0, 1), column.slice(1)])):
        numbers = encode(labels, ("apple", "pear"))
        assert (numbers.tolist(), numbers.dtype) == ([1, -1, 0, -1], np.int64)
    assert encode(pa.array([], pa.string()), ()).tolist() == []


def test_the_names_in_some_columns_are_sorted_and_each_once() -> None:
    assert names_in([pa.array(["pear", None]), pa.array(["apple", "pear"])]) == ("apple", "pear")
    assert names_in([]) == ()
