"""One snapshot of a dataset, pinned: as arrays, as a data frame, and in batches for training."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import names, schemas
from imagefeatures.catalog import snapshots
from imagefeatures.catalog.snapshots import Plan, Selection
from imagefeatures.errors import InputError
from imagefeatures.readers.labels import encode
from imagefeatures.readers.parquet import schema_of
from imagefeatures.readers.stream import Stream, checked_batch, read_plan, settled_seed
from imagefeatures.readers.vectors import vectors
from imagefeatures.reasons import printable
from imagefeatures.settings import Settings
from imagefeatures.wording import several

if TYPE_CHECKING:
    import pandas as pd
    import tensorflow as tf
    from torch.utils.data import IterableDataset

MOST_NAMED = 5
"""So many fingerprints are named in an error."""


class Arrays(NamedTuple):
    """n rows in memory: features, float32 [n, width]; labels, int64 [n]; uris, str [n], of NumPy's type object.

    labels: the place of each row's label among label_names; -1 for a row without one.
    """

    features: np.ndarray
    labels: np.ndarray
    uris: np.ndarray
    label_names: tuple[str, ...]


class _Plans(NamedTuple):
    """chosen: the rows that were asked for. whole: all rows of the same snapshot. fingerprint: if it was asked for."""

    chosen: Plan
    whole: Plan
    fingerprint: str | None


@dataclass
class _Survey:
    """Of some rows: how many there are, how many have each fingerprint, and which labels there are."""

    rows: int = 0
    fingerprints: Counter[str] = field(default_factory=Counter)
    labels: set[str | None] = field(default_factory=set)


def open_features(
    settings: Settings, dataset: str, label_names: Sequence[str] | None, selection: Selection
) -> Features:
    """See `imagefeatures.read.open`."""
    if dataset in schemas.TABLES:
        raise InputError(f"{names.table_name(dataset)}: no dataset, it has no vectors; use read.table")
    own = None if label_names is None else tuple(several(names.table_name(dataset), "label_names", label_names))
    if own is not None and len(set(own)) != len(own):
        raise InputError(f"{names.table_name(dataset)}: label_names has a name twice")
    plan = snapshots.plan(settings, dataset, selection)
    whole = plan if plan.condition is None else snapshots.plan(settings, dataset, {"snapshot": plan.snapshot})
    return Features(dataset, settings.catalog, _Plans(plan, whole, selection.get("fingerprint")), own)


class Features:
    """The rows of one snapshot of features.<dataset> that were asked for. Made by `imagefeatures.read.open`.

    snapshot: its id; None where nothing was ever published. len() is the number of rows.

    All vectors must have been computed in one way. Where they were not, whatever needs them raises InputError, which
    names the fingerprints. Reading raises CatalogRefused where the snapshot has expired since, and StoreError.
    """

    def __init__(self, dataset: str, catalog: str, plans: _Plans, label_names: tuple[str, ...] | None) -> None:
        """See `open_features`. catalog: the setting."""
        self.dataset, self.snapshot = dataset, plans.chosen.snapshot
        self._table, self._catalog = names.table_name(dataset), catalog
        self._plan, self._whole, self._wanted = plans.chosen, plans.whole, plans.fingerprint
        self._given_names = label_names

    def __repr__(self) -> str:
        return f"<{self._table}, snapshot {self.snapshot}, {len(self)} rows>"

    def __len__(self) -> int:
        return self._chosen.rows

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """The labels whose places are the numbers: those given to `open`, or those of the whole snapshot, sorted."""
        if self._given_names is not None:
            return self._given_names
        survey = self._chosen if self._whole is self._plan else self._survey(self._whole, ("label",))
        return tuple(sorted(label for label in survey.labels if label is not None))

    @property
    def fingerprint(self) -> str | None:
        """That of all vectors; None where there are no rows. Raises InputError where there are several."""
        found = self._chosen.fingerprints
        if len(found) > 1:
            each = ", ".join(f"{name} ({count} rows)" for name, count in found.most_common(MOST_NAMED))
            more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
            raise InputError(
                f"{self._table}: its vectors were computed in several ways and do not compare: fingerprints {each}"
                f"{more}; choose one with fingerprint="
            )
        if not found and self._wanted is not None:
            there = sorted(self._survey(self._whole, ("label", "fingerprint")).fingerprints)
            if there and self._wanted not in there:
                raise InputError(
                    f"{self._table}: no rows with fingerprint {printable(self._wanted)}; there are {', '.join(there)}"
                )
        return next(iter(found), None)

    def batches(self, columns: Sequence[str] | None = None) -> Generator[pa.RecordBatch, None, None]:
        """The rows as `imagefeatures.read.batches` gives them. Does not ask whether the vectors compare."""
        schema_of(self.dataset, columns)
        return self._read(self._plan, columns)

    def to_numpy(self) -> Arrays:
        """All rows in memory, in the order of the table. The vectors are in memory once: a million take 5 GB."""
        width = self._width()
        features = np.empty((len(self), width or 0), np.float32)
        labels, uris = np.empty(len(self), np.int64), np.empty(len(self), object)
        start = 0
        for rows in self.batches(("uri", "label", "features")):
            end = start + rows.num_rows
            found = vectors(rows)
            if found.shape[1] != width:
                raise InputError(f"{self._table}: vectors of {width} values and of {found.shape[1]}")
            features[start:end] = found
            labels[start:end] = encode(rows["label"], self.label_names)
            uris[start:end] = rows["uri"].to_numpy(zero_copy_only=False)
            start = end
        return Arrays(features, labels, uris, self.label_names)

    def to_pandas(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A data frame of all rows. Column `features` holds an array, float32 [width], for each row.

        columns: these alone. Raises InputError where pandas is not installed.
        """
        _library("pandas", "to_pandas", "pandas")
        if columns is None or "features" in columns:
            _ = self.fingerprint
        rows = pa.Table.from_batches(self.batches(columns), schema_of(self.dataset, columns))
        # The frame takes the table's memory column by column. The vectors' values are not copied.
        return rows.to_pandas(self_destruct=True, split_blocks=True)

    def to_tf(self, batch: int = 256, shuffle: bool = False, seed: int | None = None) -> tf.data.Dataset:
        """A tf.data.Dataset of (features, float32 [b, width]; labels, int64 [b]), read from the files while it is used.

        batch: b; the last batch may have fewer rows. shuffle: rows come in another order in each pass over the dataset.
        seed: the same seed gives the same orders. Raises InputError where TensorFlow is not installed.
        """
        _library("tensorflow", "to_tf", "TensorFlow")
        from imagefeatures.readers import tensorflow

        return tensorflow.dataset(self._stream(batch, shuffle, seed), len(self))

    def to_torch(self, batch: int = 256, shuffle: bool = False, seed: int | None = None) -> IterableDataset[Any]:
        """An IterableDataset of (features, float32 [b, width]; labels, int64 [b]), read while it is used.

            loader = torch.utils.data.DataLoader(fruit.to_torch(batch=256), batch_size=None, num_workers=2)

        It yields whole batches. Each worker reads files of its own: no row comes twice or is missing. The last batch of
        each worker may have fewer rows. shuffle, seed: as `to_tf` has them. Raises InputError where PyTorch is not
        installed.
        """
        _library("torch", "to_torch", "PyTorch")
        from imagefeatures.readers import torch

        return torch.dataset(self._stream(batch, shuffle, seed))

    def _stream(self, batch: int, shuffle: bool, seed: int | None) -> Stream:
        return Stream(
            self._table,
            self._catalog,
            self._plan,
            self.label_names,
            self._width(),
            checked_batch(batch),
            settled_seed(shuffle, seed),
        )

    def _width(self) -> int | None:
        """How many values a vector has; None where there are no rows."""
        if self.fingerprint is None:
            return None
        with closing(self.batches(("features",))) as batches:
            return int(vectors(next(batches).slice(0, 1)).shape[1])

    @cached_property
    def _chosen(self) -> _Survey:
        return self._survey(self._plan, ("label", "fingerprint"))

    def _survey(self, plan: Plan, columns: Sequence[str]) -> _Survey:
        """Reads small columns of all rows of a plan: what has to be known before the first vector is handed out."""
        survey = _Survey()
        for batch in self._read(plan, columns):
            survey.rows += batch.num_rows
            survey.labels.update(pc.unique(batch["label"]).to_pylist())
            if "fingerprint" in columns:
                counts = pc.value_counts(batch["fingerprint"]).to_pylist()
                survey.fingerprints.update({each["values"]: each["counts"] for each in counts})
        return survey

    def _read(self, plan: Plan, columns: Sequence[str] | None) -> Generator[pa.RecordBatch, None, None]:
        return read_plan(plan, self._table, self._catalog, None if columns is None else tuple(columns))


def _library(name: str, method: str, title: str) -> None:
    """Raises InputError where a library is not installed that a method needs."""
    if importlib.util.find_spec(name) is None:
        raise InputError(f"{method} needs {title}, which is not installed here: python -m pip install {name}")
