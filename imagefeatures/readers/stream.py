"""Batches for training: shared among workers, in mixed order, in bounded memory. Knows neither TensorFlow nor PyTorch.

A stream is read in one process or by several, each of which reads its own files. It can be pickled.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from imagefeatures import names
from imagefeatures.errors import InputError
from imagefeatures.readers.labels import encode
from imagefeatures.readers.parquet import plan_batches
from imagefeatures.readers.values import Values

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Plan

Arrays = tuple[np.ndarray, np.ndarray]
"""Of a batch: values, float32 [b, width] or pixels [b, height, width, channels], and labels, int64 [b].

They may be read-only views.
"""

WINDOW_BYTES = 64 << 20
"""Rows are mixed within a window of so many bytes: 13,000 vectors of 1280 values, 445 pictures of 224 × 224 × 3."""

MIXED_FILES = 8
"""A window is filled from so many files in turn, for one file often holds one label."""

MOST_BATCH_ROWS = 1 << 20
MOST_SEED = (1 << 64) - 1


@dataclass(frozen=True)
class Stream:
    """The rows of a plan in batches. table: as messages call it. values: what is read besides the labels.

    batch: rows of a batch; the last one may have fewer. seed: of the order; None for the order of the table.
    """

    table: str
    catalog: str
    plan: Plan
    label_names: tuple[str, ...]
    values: Values
    batch: int
    seed: int | None

    def batches(self, epoch: int = 0, worker: int = 0, workers: int = 1) -> Iterator[Arrays]:
        """The batches of one worker; those of all workers hold each row once, whatever epoch each of them is in.

        epoch: each has an order of its own, the same every time. Raises InputError for values of another shape;
        CatalogRefused where a file is gone; StoreError.
        """
        own = self.plan.files[worker::workers]
        if self.seed is None:
            return self._in_order(replace(self.plan, files=own))
        random = np.random.default_rng((self.seed, epoch, worker))
        mixed = tuple(own[at] for at in random.permutation(len(own)))
        return self._mixed(replace(self.plan, files=mixed), random)

    def _in_order(self, plan: Plan) -> Iterator[Arrays]:
        """Views of the batches that were read; only where a batch lies in two of them is it copied."""
        waiting: list[Arrays] = []
        rows = 0
        for values, labels in self._read(plan, 1):
            start = 0
            while len(labels) - start >= (missing := self.batch - rows):
                end = start + missing
                yield _joined([*waiting, (values[start:end], labels[start:end])])
                start, rows = end, 0
                waiting.clear()
            if start < len(labels):
                waiting.append((values[start:], labels[start:]))
                rows += len(labels) - start
        if waiting:
            yield _joined(waiting)

    def _mixed(self, plan: Plan, random: np.random.Generator) -> Iterator[Arrays]:
        """A window is filled, then emptied in mixed order, and filled again."""
        if 0 in self.values.shape:  # there are no rows
            return
        most = max(1, WINDOW_BYTES // self.values.row_bytes // self.batch) * self.batch
        window, labels, held = self.values.empty(most), np.empty(most, np.int64), 0
        for values, numbers in self._read(plan, MIXED_FILES):
            start = 0
            while start < len(numbers):
                end = min(len(numbers), start + most - held)
                count = end - start
                window[held : held + count], labels[held : held + count] = values[start:end], numbers[start:end]
                start, held = end, held + count
                if held == most:
                    yield from self._emptied(window, labels, random)
                    held = 0
        yield from self._emptied(window[:held], labels[:held], random)

    def _emptied(self, window: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> Iterator[Arrays]:
        order = random.permutation(len(labels))
        for start in range(0, len(order), self.batch):
            chosen = order[start : start + self.batch]
            values = self.values.empty(len(chosen))
            window.take(chosen, axis=0, out=values, mode="clip")  # the usual mode fills another array first
            yield values, labels[chosen]

    def _read(self, plan: Plan, together: int) -> Iterator[Arrays]:
        with closing(read_plan(plan, self.table, self.catalog, ("label", self.values.column), together)) as batches:
            for rows in batches:
                yield self.values.of(rows), encode(rows["label"], self.label_names)


def read_plan(
    plan: Plan, table: str, catalog: str, columns: tuple[str, ...] | None, together: int = 1
) -> Generator[pa.RecordBatch, None, None]:
    """The rows of a plan that was made earlier: a file of it may be gone by now, which the error says."""
    from imagefeatures.catalog import failures  # pyiceberg takes a second
    from imagefeatures.catalog.guards import REPAIR

    remedy = f"if snapshot {plan.snapshot} has expired since it was opened, open the dataset again; else {REPAIR}"
    rows = plan_batches(plan, table.removeprefix(f"{names.NAMESPACE}."), columns, together)
    yield from failures.each(rows, table, catalog, remedy)


def checked_batch(batch: int) -> int:
    """Raises InputError for a number of rows that cannot be a batch's."""
    if not isinstance(batch, Integral) or not 1 <= batch <= MOST_BATCH_ROWS:
        raise InputError(f"batch is {batch!r}; it must be a number of rows from 1 to {MOST_BATCH_ROWS}")
    return int(batch)


def settled_seed(shuffle: bool, seed: int | None) -> int | None:
    """The seed of a stream; None where the order is the table's. Without a seed of the user's it is a random one.

    Raises InputError for a seed that is negative or no whole number, and for one that would have no effect.
    """
    if not shuffle:
        if seed is not None:
            raise InputError("seed= has no effect without shuffle=True")
        return None
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if not isinstance(seed, Integral) or not 0 <= seed <= MOST_SEED:
        raise InputError(f"seed is {seed!r}; it must be a whole number from 0 to {MOST_SEED}")
    return int(seed)


def _joined(parts: list[Arrays]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([values for values, _ in parts]), np.concatenate([labels for _, labels in parts])
