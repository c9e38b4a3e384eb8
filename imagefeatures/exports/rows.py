"""The rows of an export in order of URI, however large the table and in whatever order its files have them.

Augmented copies of a picture follow it in the order of their numbers.

The URIs alone are read first and sorted: about 100 MB for a million. The rank of each row is kept, 8 bytes a row. Then
the rows come in windows: every file that has rows of a window is read, and its rows are put at their places. The files
of a folder follow its listing, which is sorted: windows are small, and each file is read once. Where the URIs of a file
are scattered, as those of URLs are, windows are as large as WINDOW_BYTES, and the file is read once for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import names, read, schemas
from imagefeatures.errors import InputError
from imagefeatures.exports.content import BATCH_ROWS, Batch, batch_rows
from imagefeatures.exports.reading import ahead, file_rows
from imagefeatures.pixels import PixelFormat
from imagefeatures.readers import labels
from imagefeatures.readers.values import Values
from imagefeatures.settings import Settings

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Plan, Selection, SnapshotFile

WINDOW_BYTES = 128 << 20
"""The most bytes of values that are put in order at a time."""

SAMPLE_FILES = 4
MOST_SAMPLE_FILES = 32
SAMPLE_ROWS = 1000  # no power of two: HDF5 would fill its last chunks, as those of an export are not

SAMPLE_BYTES = 16 << 20

FIRST_ROWS = 64
"""So many rows are decoded to learn how many values a vector has."""

MODEL_COLUMNS = ("model", "fingerprint")
"""What must be the same in all rows. A table of pixels has no model."""


@dataclass(frozen=True)
class Rows:
    """The rows that are asked for, of one snapshot.

    table: without the namespace. snapshot: its id. model, fingerprint: of all rows; no model of pixels. values: those
    of a row. label_names: of all rows of the snapshot, sorted, so that a label has the same number in every export of
    it. augmented: whether there are augmented copies among them.
    """

    settings: Settings
    table: str
    snapshot: int
    model: str | None
    fingerprint: str
    values: Values
    label_names: tuple[str, ...]
    augmented: bool
    _plan: Plan
    _files: tuple[_File, ...]

    def __len__(self) -> int:
        return sum(len(file.ranks) for file in self._files)

    def vectors(self) -> Iterator[np.ndarray]:
        """The vectors in the order of the files, float32 [n, width] at a time: for what does not depend on the order.

        Raises what `read.batches` raises, and InputError for a vector of another width.
        """
        from imagefeatures.catalog import failures

        with failures.readable(names.table_name(self.table), self.settings.catalog):
            for _, batches in ahead(
                self._files, lambda file: file.stored, partial(file_rows, self._plan, ("features",))
            ):
                for batch in batches:
                    yield self._checked(batch)

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """The rows in order of URI, `batch_rows` at a time; the last batch has the rest.

        columns: the facts, `label` among them. Raises as `vectors` does.
        """
        from imagefeatures.catalog import failures

        size = self.window_rows
        tasks: list[tuple[int, _File]] = []
        for file in self._files:  # in the order of their first rows: a file of two windows is the last, and the first
            tasks += [(window, file) for window in range(file.first // size, file.last // size + 1)]
        tasks.sort(key=lambda task: task[0])
        read_file = partial(file_rows, self._plan, (self.values.column, *columns))
        with failures.readable(names.table_name(self.table), self.settings.catalog):
            found = ahead(tasks, lambda task: task[1].stored, read_file)
            for window, group in groupby(found, lambda task: task[0][0]):
                first = window * size
                rows = min(size, len(self) - first)
                filling = _Window(first, self.values.empty(rows))
                for (_, file), batches in group:
                    offset = 0
                    for batch in batches:
                        ranks = file.ranks[offset : offset + batch.num_rows]
                        filling.add(ranks, self._checked(batch), batch.select(columns))
                        offset += batch.num_rows
                yield from filling.batches(self.label_names, self.batch_rows)

    def sample(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Some rows of a few files, or of more where they have few: SAMPLE_ROWS, and SAMPLE_BYTES, in one batch."""
        files = self._files[:: -(-len(self._files) // MOST_SAMPLE_FILES)]
        few = -(-len(files) // SAMPLE_FILES)
        batches: list[pa.RecordBatch] = []
        most = left = max(1, min(SAMPLE_ROWS, SAMPLE_BYTES // self.values.row_bytes))
        for file in (file for start in range(few) for file in files[start::few]):  # the first ones are far apart
            here = min(left, -(-most // min(SAMPLE_FILES, len(files))))
            for batch in file_rows(self._plan, (self.values.column, *columns), file.stored, here):
                batches.append(batch.slice(0, here))
                here -= batches[-1].num_rows
                left -= batches[-1].num_rows
                if not here:
                    break
            if not left:
                break
        (rows,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
        label = labels.encode(rows.column("label"), self.label_names)
        yield Batch(self._checked(rows), label, rows.select(columns))

    @property
    def window_rows(self) -> int:
        """The rows of a window, whole batches: as few as hold any file's, so that the processor's cache holds them."""
        widest = max(file.last - file.first + 1 for file in self._files)
        most = max(1, WINDOW_BYTES // (self.values.row_bytes * self.batch_rows))
        return min(-(-widest // self.batch_rows), most) * self.batch_rows

    @property
    def batch_rows(self) -> int:
        return batch_rows(self.values.row_bytes, BATCH_ROWS)

    @property
    def kind(self) -> PixelFormat | None:
        """What the pixels are; None of vectors."""
        return PixelFormat.of_field(self._plan.schema.field("pixels")) if self.values.column == "pixels" else None

    def _checked(self, batch: pa.RecordBatch) -> np.ndarray:
        if self.values.column == "pixels":
            return self.values.of(batch)
        found = read.vectors(batch)
        if len(found) and found.shape[1:] != self.values.shape:
            raise InputError(
                f"{names.table_name(self.table)}: vectors of {self.values.shape[0]} and of {found.shape[1]} values; "
                "export them one by one, with --partition"
            )
        return found


@dataclass(frozen=True)
class _File:
    """A data file, and the ranks of its rows among all, int64 [n]; the least and the greatest of them."""

    stored: SnapshotFile
    ranks: np.ndarray
    first: int
    last: int


class _Window:
    """Successive rows of the order, put together from the files that have them."""

    def __init__(self, first: int, values: np.ndarray) -> None:
        self._first, self._values = first, values
        self._places: list[np.ndarray] = []
        self._facts: list[pa.RecordBatch] = []

    def add(self, ranks: np.ndarray, values: np.ndarray, facts: pa.RecordBatch) -> None:
        """Take those rows of a batch that belong here."""
        places = ranks - self._first
        inside = (places >= 0) & (places < len(self._values))
        if not inside.all():
            places, values, facts = places[inside], values[inside], facts.filter(pa.array(inside))
        if len(places) and (np.diff(places) == 1).all():  # a slice is copied three times as fast
            self._values[places[0] : places[-1] + 1] = values
        else:
            self._values[places] = values
        self._places.append(places)
        self._facts.append(facts)

    def batches(self, label_names: Sequence[str], size: int) -> Iterator[Batch]:
        """The rows, `size` at a time."""
        order = np.empty(len(self._values), np.int64)
        order[np.concatenate(self._places)] = np.arange(len(order))
        facts = pa.Table.from_batches(self._facts).combine_chunks()
        if (np.diff(order) != 1).any():
            facts = facts.take(order)
        for first in range(0, len(order), size):
            values = self._values[first : first + size]
            (rows,) = facts.slice(first, size).to_batches()
            yield Batch(values, labels.encode(rows.column("label"), label_names), rows)


def find(settings: Settings, name: str, selection: Selection) -> Rows:
    """The rows of a table that are asked for, and their order. Reads their URIs, and the snapshot's labels.

    name: of the table, features.<dataset> or features.<dataset>_pixels, without the namespace.

    Raises what `read.batches` raises, and InputError where there are none, or where they have several fingerprints.
    """
    from imagefeatures.catalog import failures, snapshots

    table = names.table_name(name)
    if name in schemas.TABLES:
        raise InputError(f"{table}: has no vectors; name a dataset")
    plan = snapshots.plan(settings, name, selection)
    of_pixels = names.is_pixels_table(name)
    same = MODEL_COLUMNS[1:] if of_pixels else MODEL_COLUMNS
    columns = ("uri", "copy", "label", *same)
    keys: list[pa.RecordBatch] = []
    counts: list[int] = []
    made: set[tuple[str, ...]] = set()
    label_names: set[str] = set()
    with failures.readable(table, settings.catalog):
        for _, batches in ahead(plan.files, lambda file: file, partial(file_rows, plan, columns)):
            counts.append(0)
            for batch in batches:
                counts[-1] += batch.num_rows
                keys.append(batch.select(["uri", "copy"]))
                label_names.update(labels.names_in([batch.column("label")]))
                made.update(_different(batch, same))
    if plan.condition is not None:
        label_names = _label_names(settings, name, plan.snapshot)
    if not keys or plan.snapshot is None:
        raise InputError(f"{table}: no row is asked for that it has; nothing is exported")
    if len(made) > 1:
        two = " and ".join(" ".join(of_rows) for of_rows in sorted(made)[:2])
        what = "pixels" if of_pixels else "vectors"
        raise InputError(
            f"{table}: {what} of several fingerprints ({two}) cannot be compared; choose by --partition, or run the "
            "older partitions again"
        )
    (found,) = made
    keyed = pa.Table.from_batches(keys)
    augmented = pc.any(pc.greater(keyed["copy"], 0)).as_py() or False
    # A second key that is always the same would cost time and memory for nothing.
    keyed = keyed.set_column(1, "copy", keyed["copy"].fill_null(0)) if augmented else keyed.select(["uri"])
    order = pc.sort_indices(keyed, sort_keys=[(name, "ascending") for name in keyed.column_names]).to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    of_files = np.split(ranks, np.cumsum(counts)[:-1])
    files = [
        _File(file, own, int(own.min()), int(own.max()))
        for file, own in zip(plan.files, of_files, strict=True)
        if len(own)
    ]
    values = (
        Values.of_pixels(table, plan.schema)
        if of_pixels
        else Values.of_vectors(table, file_rows(plan, ("features",), files[0].stored, FIRST_ROWS))
    )
    return Rows(
        settings,
        name,
        plan.snapshot,
        None if of_pixels else found[0],
        found[-1],
        values,
        tuple(sorted(label_names)),
        augmented,
        plan,
        tuple(sorted(files, key=lambda file: file.first)),
    )


def _different(batch: pa.RecordBatch, columns: Sequence[str]) -> set[tuple[str, ...]]:
    """The different rows of a few columns. Mostly it is one: that is seen without an object of Python for each row."""
    found = [batch.column(name).unique() for name in columns]
    if any(len(values) > 1 for values in found):
        found = [batch.column(name) for name in columns]
    return set(zip(*(values.to_pylist() for values in found), strict=True))


def _label_names(settings: Settings, dataset: str, snapshot: int | None) -> set[str]:
    """All labels of a snapshot."""
    rows = read.batches(settings, dataset, columns=("label",), snapshot=snapshot)
    return set(labels.names_in(batch.column("label") for batch in rows))
