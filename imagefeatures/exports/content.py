"""What an export holds, and a batch of it: what every format is given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

BATCH_ROWS = 1024
"""The rows of a batch, except of the last one."""


@dataclass(frozen=True)
class Content:
    """What is known of an export before its first row is written.

    rows, width: how many rows, and how many values each has. snapshot: of the table, the id. label_names: a row's
    label is the index of its name here, -1 where it has none. facts: the columns besides the values, uri and label
    among them. components: how many principal components the values are; None: they are features.
    flat: whether each value is a column of its own.
    """

    dataset: str
    snapshot: int
    model: str
    fingerprint: str
    rows: int
    width: int
    label_names: tuple[str, ...]
    facts: pa.Schema
    components: int | None = None
    flat: bool = False

    @property
    def values(self) -> str:
        """What the values are called."""
        return "features" if self.components is None else "components"

    @property
    def value_names(self) -> list[str]:
        """The names of the values as columns: f0, f1, … or pc0, pc1, …"""
        return [f"{'f' if self.components is None else 'pc'}{at}" for at in range(self.width)]

    def about(self) -> dict[str, Any]:
        """What a file says of itself: where its rows come from, and what made them. In JSON's types."""
        return {
            "table": f"features.{self.dataset}",
            "snapshot": self.snapshot,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "rows": self.rows,
            self.values: self.width,
            "order": "uri",
            "label_names": list(self.label_names),
            "versions": versions(),
        }

    def metadata(self) -> dict[str, str]:
        """The same as metadata of an Arrow schema."""
        return {"imagefeatures": json.dumps(self.about(), ensure_ascii=False)}


class Batch(NamedTuple):
    """Some rows of an export, in order. values: float32 [n, width], read-only for formats. labels: int64 [n].

    facts: the n rows of the columns in Content.facts.
    """

    values: np.ndarray
    labels: np.ndarray
    facts: pa.RecordBatch


Batches = Iterator[Batch]


def texts(column: pa.Array) -> list[str]:
    """A column of texts as a list; a null is an empty text."""
    found: list[str] = column.fill_null("").to_pylist()
    return found


def versions() -> dict[str, str]:
    """The versions of the libraries that write exports."""
    return {"pyarrow": pa.__version__, "numpy": np.__version__}
