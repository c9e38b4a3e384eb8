"""The statistics of a partition's rows in one table, read in one pass: of a picture its numbers, and no pixel."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import names
from imagefeatures.catalog import failures, snapshots
from imagefeatures.errors import CatalogError
from imagefeatures.quality.sketch import Sums
from imagefeatures.readers.parquet import plan_batches
from imagefeatures.readers.vectors import vectors
from imagefeatures.settings import Settings

MOST_LABELS, MOST_FORMATS = 1000, 20
"""So many labels and endings are counted each for itself."""

COLUMNS = ("uri", "image_id", "label", "width", "height", "mode", "size", "run_id")

NUMBERS = {"sizes": "size", "widths": "width", "heights": "height"}
"""A column of the statistics, and the column of the table whose values it sums up."""

SHARES = (0, 0.05, 0.5, 0.95, 1)

WITHOUT_ENDING = "none"


@dataclass(frozen=True)
class Measured:
    """columns: of features.statistics, those that the rows alone say. sums: of the vectors; without any, of none."""

    columns: dict[str, Any]
    sums: Sums


def measure(settings: Settings, table: str, run: dict[str, Any], seed: int) -> Measured:
    """Read what features.<table> has of a published run: its pictures without augmented copies.

    run: its row of features.runs. Memory for one batch of rows, for 20 bytes a picture, and for each distinct label.
    Raises CatalogError where the partition holds rows of another run, as while that is being published; and as
    `read.batches`.
    """
    name, key = names.table_name(table), run["partition_key"]
    columns = COLUMNS if names.is_pixels_table(table) else (*COLUMNS, "features")
    plan = snapshots.plan(settings, table, {"partitions": (key,), "copies": False})
    counts = _Counts()
    sums = Sums(seed)
    for batch in failures.each(plan_batches(plan, table, columns), name, settings.catalog):
        if set(batch["run_id"].unique().to_pylist()) != {run["run_id"]}:
            raise CatalogError(f"{name} {key}: another run than {run['run_id']} is being published; try again")
        counts.add(batch)
        if "features" in columns:
            sums.add(vectors(batch))
    return Measured(counts.columns(), sums)


class _Counts:
    def __init__(self) -> None:
        self._labels, self._formats, self._modes = Counter[str | None](), Counter[str](), Counter[str]()
        self._numbers: dict[str, list[np.ndarray]] = {column: [] for column in NUMBERS.values()}
        self._identities: list[np.ndarray] = []

    def add(self, batch: pa.RecordBatch) -> None:
        self._labels.update(_counted(batch["label"]))
        self._modes.update(_counted(batch["mode"]))
        self._formats.update(map(ending, batch["uri"].to_pylist()))
        for column, values in self._numbers.items():
            # Widths and heights have 32 bits, and twice as many would be held for nothing.
            values.append(batch[column].to_numpy(zero_copy_only=False))
        # Eight bytes of a SHA-256: two of a million pictures share them once in thirty million partitions.
        ids = [int(image_id[:16], 16) for image_id in batch["image_id"].to_pylist()]
        self._identities.append(np.array(ids, np.uint64))

    def columns(self) -> dict[str, Any]:
        identities = np.concatenate([np.zeros(0, np.uint64), *self._identities])
        unlabelled = self._labels.pop(None, 0)
        return {
            "pictures": len(identities),
            "duplicates": len(identities) - len(np.unique(identities)),
            "labels": self._labels.most_common(MOST_LABELS),
            "unlabelled": unlabelled,
            "formats": self._formats.most_common(MOST_FORMATS),
            "modes": self._modes.most_common(),
        } | {name: five(self._numbers[column]) for name, column in NUMBERS.items()}


def _counted(column: pa.Array) -> dict[Any, int]:
    return {pair["values"]: pair["counts"] for pair in pc.value_counts(column).to_pylist()}


def five(parts: Sequence[np.ndarray]) -> list[int]:
    """The smallest value, that of 5 %, the median, that of 95 % and the largest; nothing of nothing.

    >>> five([np.array([4, 1]), np.array([3, 2, 9])])
    [1, 1, 3, 9, 9]
    """
    values = np.concatenate([np.zeros(0, np.int64), *parts])
    return [int(value) for value in np.quantile(values, SHARES, method="nearest")] if len(values) else []


def ending(uri: str) -> str:
    """The ending of an object's name, in lower case.

    >>> ending("s3://b/a.b/1.JPG"), ending("https://h/1.png?w=3.5"), ending("s3://b/1"), ending("s3://b/a.jpg/1")
    ('jpg', 'png', 'none', 'none')
    """
    path = urlsplit(uri).path if uri.startswith(("http://", "https://")) else uri
    found = re.search(r"[^/]\.([A-Za-z0-9]{1,8})$", path)
    return found[1].lower() if found else WITHOUT_ENDING
