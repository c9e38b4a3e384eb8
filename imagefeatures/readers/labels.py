"""Labels as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NO_LABEL = -1
"""The number of a row without a label, and of one whose label is not among the names."""


def encode(labels: pa.Array | pa.ChunkedArray, label_names: Sequence[str]) -> np.ndarray:
    """The place of each label among the names: int64 [n].

    >>> encode(pa.array(["pear", None, "apple", "plum"]), ("apple", "pear")).tolist()
    [1, -1, 0, -1]
    """
    places = pc.index_in(labels, value_set=pa.array(label_names, pa.string()))
    numbers: np.ndarray = pc.fill_null(places, NO_LABEL).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers


def names_in(columns: Iterable[pa.Array]) -> tuple[str, ...]:
    """The labels in some columns of texts, sorted, each once, without nulls."""
    found: set[str | None] = set()
    for column in columns:
        found.update(column.unique().to_pylist())
    return tuple(sorted(label for label in found if label is not None))
