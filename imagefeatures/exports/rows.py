"""The rows of an export in order of URI, however large the table and in whatever order its files have them.

Augmented copies of a picture follow it in the order of their numbers.

The order is found first (`order`): from the footers where the files follow each other, as those of a folder, whose
listing is sorted; else from the URIs alone, about 100 MB for a million, of which the rank of each row is kept, 8 bytes.
Files that follow each other come one by one, and their rows are not copied where they are in order. Otherwise the rows
come in windows: every file that has rows of a window is read, and its rows are put at their places. Where the URIs of a
file are scattered, as those of URLs are, windows are as large as WINDOW_BYTES and WINDOW_ROWS allow, and the file is
read once for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from imagefeatures import names, read, schemas
from imagefeatures.errors import InputError
from imagefeatures.exports import order
from imagefeatures.exports.content import BATCH_ROWS, Batch, batch_rows
from imagefeatures.exports.order import File
from imagefeatures.exports.reading import ahead, file_rows
from imagefeatures.exports.windows import Piece, Window, cut, pieces_joined, with_ranks
from imagefeatures.pixels import PixelFormat
from imagefeatures.readers import labels
from imagefeatures.readers.values import Values
from imagefeatures.settings import Settings

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Plan, Selection

WINDOW_BYTES = 128 << 20
"""The most bytes of values that are put in order at a time."""

WINDOW_ROWS = 1 << 17
"""The most rows that are put in order at a time: the facts of a row take some 500 bytes, however short its vector."""

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
    _files: tuple[File, ...]

    def __len__(self) -> int:
        return sum(file.rows for file in self._files)

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
        """The rows in order of URI, at most `batch_rows` at a time.

        columns: the facts, `label` among them. Raises as `vectors` does.
        """
        from imagefeatures.catalog import failures

        alone = all(file.alone and file.rows <= self._most_rows for file in self._files)
        with failures.readable(names.table_name(self.table), self.settings.catalog):
            for values, facts in self._file_by_file(columns) if alone else self._in_windows(columns):
                yield Batch(values, labels.encode(facts.column("label"), self.label_names), facts)

    def _file_by_file(self, columns: Sequence[str]) -> Iterator[Piece]:
        read_file = partial(file_rows, self._plan, (self.values.column, *columns))
        found = ahead(self._files, lambda file: file.stored, read_file)
        pieces = (piece for file, batches in found for piece in self._of_file(file, batches, columns))
        return pieces_joined(pieces, self.batch_rows)

    def _of_file(self, file: File, batches: Iterable[pa.RecordBatch], columns: Sequence[str]) -> Iterator[Piece]:
        """The rows of a file in order. Those that are so already are handed on as they were read, not copied."""
        ranks, batches = file.placed(batches)
        if (np.diff(ranks) == 1).all():
            for batch in batches:
                yield from cut(self._checked(batch), batch.select(columns), self.batch_rows)
            return
        filling = Window(file.first, self.values.empty(file.rows))
        for own, batch in with_ranks(ranks, batches):
            filling.add(own, self._checked(batch), batch.select(columns))
        yield from filling.pieces(self.batch_rows)

    def _in_windows(self, columns: Sequence[str]) -> Iterator[Piece]:
        size = self.window_rows
        tasks: list[tuple[int, File]] = []
        for file in self._files:  # in the order of their first rows: a file of two windows is the last, and the first
            tasks += [(window, file) for window in range(file.first // size, file.last // size + 1)]
        tasks.sort(key=lambda task: task[0])
        read_file = partial(file_rows, self._plan, (self.values.column, *columns))
        found = ahead(tasks, lambda task: task[1].stored, read_file)
        for window, group in groupby(found, lambda task: task[0][0]):
            first = window * size
            filling = Window(first, self.values.empty(min(size, len(self) - first)))
            for (_, file), batches in group:
                for own, batch in with_ranks(*file.placed(batches)):
                    filling.add(own, self._checked(batch), batch.select(columns))
            yield from filling.pieces(self.batch_rows)

    def sample(self, columns: Sequence[str], *, values: bool = True) -> Batch:
        """Some rows of a few files, or of more where they have few: SAMPLE_ROWS, and SAMPLE_BYTES.

        values: whether they are read; else they are zeros, where only the facts matter.
        """
        files = self._files[:: -(-len(self._files) // MOST_SAMPLE_FILES)]
        few = -(-len(files) // SAMPLE_FILES)
        read_columns = (self.values.column, *columns) if values else columns
        batches: list[pa.RecordBatch] = []
        most = left = max(1, min(SAMPLE_ROWS, SAMPLE_BYTES // self.values.row_bytes))
        for file in (file for start in range(few) for file in files[start::few]):  # the first ones are far apart
            here = min(left, -(-most // min(SAMPLE_FILES, len(files))))
            for batch in file_rows(self._plan, read_columns, file.stored, here):
                batches.append(batch.slice(0, here))
                here -= batches[-1].num_rows
                left -= batches[-1].num_rows
                if not here:
                    break
            if not left:
                break
        (rows,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
        label = labels.encode(rows.column("label"), self.label_names)
        shown = self._checked(rows) if values else np.zeros((len(label), *self.values.shape), self.values.dtype)
        return Batch(shown, label, rows.select(columns))

    @property
    def window_rows(self) -> int:
        """The rows of a window, whole batches: as few as hold any file's, so that the processor's cache holds them."""
        widest = max(file.last - file.first + 1 for file in self._files)
        most = max(1, self._most_rows // self.batch_rows)
        return min(-(-widest // self.batch_rows), most) * self.batch_rows

    @property
    def _most_rows(self) -> int:
        return min(WINDOW_ROWS, WINDOW_BYTES // self.values.row_bytes)

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
    with failures.readable(table, settings.catalog):
        found = order.find(plan, same)
    label_names = found.label_names if plan.condition is None else _label_names(settings, name, plan.snapshot)
    if not found.files or plan.snapshot is None:
        raise InputError(f"{table}: no row is asked for that it has; nothing is exported")
    if len(found.made) > 1:
        two = " and ".join(" ".join(of_rows) for of_rows in sorted(found.made)[:2])
        what = "pixels" if of_pixels else "vectors"
        raise InputError(
            f"{table}: {what} of several fingerprints ({two}) cannot be compared; choose by --partition, or run the "
            "older partitions again"
        )
    (made,) = found.made
    values = (
        Values.of_pixels(table, plan.schema)
        if of_pixels
        else Values.of_vectors(table, file_rows(plan, ("features",), found.files[0].stored, FIRST_ROWS))
    )
    return Rows(
        settings,
        name,
        plan.snapshot,
        None if of_pixels else made[0],
        made[-1],
        values,
        tuple(sorted(label_names)),
        found.augmented,
        plan,
        found.files,
    )


def _label_names(settings: Settings, dataset: str, snapshot: int | None) -> frozenset[str]:
    """All labels of a snapshot."""
    rows = read.batches(settings, dataset, columns=("label",), snapshot=snapshot)
    return frozenset(labels.names_in(batch.column("label") for batch in rows))
