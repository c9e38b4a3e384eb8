"""Labels as numbers: the same for everything that is read of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def label_names(columns: Iterable[pa.Array]) -> tuple[str, ...]:
    """The labels in some columns of texts, sorted, each once, without nulls. A label's number is its index here."""
    found: set[str | None] = set()
    for column in columns:
        found.update(column.unique().to_pylist())
    return tuple(sorted(label for label in found if label is not None))


def encode(column: pa.Array, names: Sequence[str]) -> np.ndarray:
    """A column of labels as int64 [n]: the index of each in `names`; -1 where there is none.

    >>> encode(pa.array(["pear", None, "apple"]), ("apple", "pear")).tolist()
    [1, -1, 0]
    """
    numbers: np.ndarray = pc.index_in(column, pa.array(names, pa.string())).fill_null(-1).cast(pa.int64()).to_numpy()
    return numbers
