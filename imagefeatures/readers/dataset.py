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
from imagefeatures.readers.values import Values
from imagefeatures.reasons import printable
from imagefeatures.settings import Settings
from imagefeatures.wording import texts

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


class PixelArrays(NamedTuple):
    """n rows in memory: pixels, uint8 [n, height, width, channels]; the others as `Arrays` has them."""

    pixels: np.ndarray
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


def open_dataset(
    settings: Settings, table: str, label_names: Sequence[str] | None, selection: Selection
) -> Features | Pixels:
    """See `imagefeatures.read.open`. table: without the namespace."""
    if table in schemas.TABLES:
        raise InputError(f"{names.table_name(table)}: no dataset, it has no vectors; use read.table")
    own = None if label_names is None else tuple(texts(names.table_name(table), "label_names", label_names))
    if own is not None and len(set(own)) != len(own):
        raise InputError(f"{names.table_name(table)}: label_names has a name twice")
    try:
        "".join(own or ()).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{names.table_name(table)}: label_names has a name that is not UTF-8: {error}") from None
    plan = snapshots.plan(settings, table, selection)
    whole = plan if plan.condition is None else snapshots.plan(settings, table, {"snapshot": plan.snapshot})
    plans = _Plans(plan, whole, selection.get("fingerprint"))
    return (Pixels if names.is_pixels_table(table) else Features)(table, settings.catalog, plans, own)


class _Pinned:
    """The rows of one snapshot of a table that were asked for: what `Features` and `Pixels` have in common."""

    _made = "vectors were computed"
    """What a fingerprint is about, for messages."""

    def __init__(self, dataset: str, catalog: str, plans: _Plans, label_names: tuple[str, ...] | None) -> None:
        """See `open_dataset`. catalog: the setting."""
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
        """That of all rows; None where there are no rows. Raises InputError where there are several."""
        found = self._chosen.fingerprints
        if len(found) > 1:
            each = ", ".join(f"{name} ({count} rows)" for name, count in found.most_common(MOST_NAMED))
            more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
            raise InputError(
                f"{self._table}: its {self._made} in several ways and do not compare: fingerprints {each}"
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
        """The rows as `imagefeatures.read.batches` gives them. Does not ask whether they compare."""
        schema_of(self.dataset, columns, self._plan.schema)
        return self._read(self._plan, columns)

    def to_tf(self, batch: int = 256, shuffle: bool = False, seed: int | None = None) -> tf.data.Dataset:
        """A tf.data.Dataset of (values, labels), read from the files while it is used.

        values: features, float32 [b, width], or pixels, uint8 [b, height, width, channels]. labels: int64 [b].
        batch: b; the last batch may have fewer rows. shuffle: rows come in another order in each pass over the dataset.
        seed: the same seed gives the same orders. Raises InputError where TensorFlow is not installed.
        """
        _library("tensorflow", "to_tf", "TensorFlow")
        from imagefeatures.readers import tensorflow

        return tensorflow.dataset(self._stream(batch, shuffle, seed), len(self))

    def to_torch(self, batch: int = 256, shuffle: bool = False, seed: int | None = None) -> IterableDataset[Any]:
        """An IterableDataset of (values, labels), as `to_tf` has them, read while it is used.

            loader = torch.utils.data.DataLoader(fruit.to_torch(batch=256), batch_size=None, num_workers=2)

        It yields whole batches. Each worker reads files of its own: no row comes twice or is missing. The last batch of
        each worker may have fewer rows. shuffle, seed: as `to_tf` has them. Raises InputError where PyTorch is not
        installed.
        """
        _library("torch", "to_torch", "PyTorch")
        from imagefeatures.readers import torch

        return torch.dataset(self._stream(batch, shuffle, seed))

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All values, labels and URIs in memory."""
        values = self._values()
        found = values.empty(len(self))
        labels, uris = np.empty(len(self), np.int64), np.empty(len(self), object)
        start = 0
        for rows in self.batches(("uri", "label", values.column)):
            end = start + rows.num_rows
            found[start:end] = values.of(rows)
            labels[start:end] = encode(rows["label"], self.label_names)
            uris[start:end] = rows["uri"].to_numpy(zero_copy_only=False)
            start = end
        return found, labels, uris

    def _stream(self, batch: int, shuffle: bool, seed: int | None) -> Stream:
        return Stream(
            self._table,
            self._catalog,
            self._plan,
            self.label_names,
            self._values(),
            checked_batch(batch),
            settled_seed(shuffle, seed),
        )

    def _values(self) -> Values:
        """What is read of each row. Raises InputError where the rows do not compare."""
        raise NotImplementedError

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


class Features(_Pinned):
    """The rows of one snapshot of features.<dataset> that were asked for. Made by `imagefeatures.read.open`.

    snapshot: its id; None where nothing was ever published. len() is the number of rows.

    All vectors must have been computed in one way. Where they were not, whatever needs them raises InputError, which
    names the fingerprints. Reading raises CatalogRefused where the snapshot has expired since, and StoreError.
    """

    def to_numpy(self) -> Arrays:
        """All rows in memory, in the order of the table. The vectors are in memory once: a million take 5 GB."""
        return Arrays(*self._arrays(), self.label_names)

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

    def _values(self) -> Values:
        if self.fingerprint is None:
            return Values.of_vectors(self._table, iter(()))
        with closing(self.batches(("features",))) as batches:
            return Values.of_vectors(self._table, batches)


class Pixels(_Pinned):
    """The same of features.<dataset>_pixels. Made by `imagefeatures.read.open`, with what="pixels".

    shape: height, width and channels of each picture.
    """

    _made = "pixels were made"

    @property
    def shape(self) -> tuple[int, ...]:
        return Values.of_pixels(self._table, self._plan.schema).shape

    def to_numpy(self) -> PixelArrays:
        """All rows in memory, in the order of the table: 1.5 GB for 10,000 pictures of 224 × 224 × 3."""
        return PixelArrays(*self._arrays(), self.label_names)

    def to_pandas(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A data frame of all rows. Column `pixels` holds an array, uint8 [height, width, channels], for each row.

        columns: these alone. Raises InputError where pandas is not installed.
        """
        _library("pandas", "to_pandas", "pandas")
        schema = schema_of(self.dataset, columns, self._plan.schema)
        if "pixels" not in schema.names:
            return pa.Table.from_batches(self.batches(columns), schema).to_pandas()
        values = self._values()
        batches = list(self.batches(columns))
        frame = pa.Table.from_batches(batches, schema).drop_columns(["pixels"]).to_pandas()
        pictures = np.empty(len(frame), object)
        for number, picture in enumerate(picture for rows in batches for picture in values.of(rows)):
            pictures[number] = picture  # a view of the memory that was read
        frame.insert(schema.get_field_index("pixels"), "pixels", pictures)
        return frame

    def _values(self) -> Values:
        _ = self.fingerprint
        return Values.of_pixels(self._table, self._plan.schema)


def _library(name: str, method: str, title: str) -> None:
    """Raises InputError where a library is not installed that a method needs."""
    if importlib.util.find_spec(name) is None:
        raise InputError(f"{method} needs {title}, which is not installed here: python -m pip install {name}")
