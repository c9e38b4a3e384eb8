"""What an export holds, and a batch of it: what every format is given."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from imagefeatures import names
from imagefeatures.exports.originals import Originals
from imagefeatures.pixels import PixelFormat

BATCH_ROWS = 1024
"""The most rows of a batch."""

BATCH_BYTES = 16 << 20
"""The most bytes of a batch, unless it is one row: 111 pictures of 224 × 224 × 3."""


def batch_rows(row_bytes: int, most: int = BATCH_ROWS) -> int:
    """The rows of a batch. row_bytes: of the values of a row.

    >>> batch_rows(4 * 1280), batch_rows(224 * 224 * 3)
    (1024, 111)
    """
    return max(1, min(most, BATCH_BYTES // row_bytes))


@dataclass(frozen=True)
class Content:
    """What is known of an export before its first row is written.

    table: without the namespace. rows, shape: how many rows, and the shape of the values of each. snapshot: of the
    table, the id. model: None of pixels. label_names: a row's label is the index of its name here, -1 where it has
    none.
    facts: the columns besides the values, uri and label among them. kind: of the pixels; None where the values are
    vectors. components: how many principal components they are; None: they are features.
    flat: whether each value is a column of its own. originals: reads the images themselves, which are exported in place
    of the pixels.
    """

    table: str
    snapshot: int
    model: str | None
    fingerprint: str
    rows: int
    shape: tuple[int, ...]
    label_names: tuple[str, ...]
    facts: pa.Schema
    kind: PixelFormat | None = None
    components: int | None = None
    flat: bool = False
    originals: Originals | None = None

    @property
    def values(self) -> str:
        """What the values are called, as a column."""
        if self.kind is not None:
            return "pixels"
        return "features" if self.components is None else "components"

    @property
    def array_name(self) -> str:
        """What they are called as one array."""
        return "images" if self.kind is not None else self.values

    @property
    def dtype(self) -> np.dtype:
        """The type of a value in a file."""
        return np.dtype("float32" if self.kind is None else self.kind.dtype).newbyteorder("<")

    @property
    def row_bytes(self) -> int:
        """The bytes of the values of a row."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def batch_rows(self) -> int:
        """The most rows of a batch."""
        return batch_rows(self.row_bytes)

    @property
    def value_names(self) -> list[str]:
        """The names of the values as columns: f0, f1, … or pc0, pc1, …"""
        return [f"{'f' if self.components is None else 'pc'}{at}" for at in range(self.shape[0])]

    def about(self) -> dict[str, Any]:
        """What a file says of itself: where its rows come from, and what made them. In JSON's types."""
        model = {} if self.model is None else {"model": self.model}
        pixels = {} if self.kind is None else {"dtype": self.kind.dtype, "layout": self.kind.layout}
        return {
            "table": names.table_name(self.table),
            "snapshot": self.snapshot,
            **model,
            "fingerprint": self.fingerprint,
            "rows": self.rows,
            self.array_name: self.shape[0] if self.kind is None else list(self.shape),
            **pixels,
            "order": "uri, copy" if "copy" in self.facts.names else "uri",
            "label_names": list(self.label_names),
            "versions": versions(),
        }

    def metadata(self) -> dict[str, str]:
        """The same as metadata of an Arrow schema."""
        return {"imagefeatures": json.dumps(self.about(), ensure_ascii=False)}


class Batch(NamedTuple):
    """Some rows of an export, in order. labels: int64 [n].

    values: float32 [n, width], or pixels [n, height, width, channels]; read-only for formats.
    facts: the n rows of the columns in Content.facts.
    """

    values: np.ndarray
    labels: np.ndarray
    facts: pa.RecordBatch


Batches = Iterator[Batch]


def cut_at(batches: Batches, every: int) -> Batches:
    """The same rows, in batches of which one ends at each multiple of `every` rows."""
    left = every
    for batch in batches:
        start, count = 0, len(batch.labels)
        while start < count:
            end = min(count, start + left)
            yield Batch(batch.values[start:end], batch.labels[start:end], batch.facts.slice(start, end - start))
            left = left - (end - start) or every
            start = end


def texts(column: pa.Array) -> list[str]:
    """A column of texts as a list; a null is an empty text."""
    found: list[str] = column.fill_null("").to_pylist()
    return found


def versions() -> dict[str, str]:
    """The versions of the libraries that write exports."""
    return {"pyarrow": pa.__version__, "numpy": np.__version__}
