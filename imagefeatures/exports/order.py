"""The order of the rows of an export by URI, and what is the same in all of them, from one look at each file.

The footer of a Parquet file says its least and its greatest URI, and so which columns have one value in all rows. Where
no two files overlap, as those of a folder, whose listing is sorted, that orders the files; the rows of a small file are
then put in order when they are read. Where files overlap, the URIs of all rows are read and sorted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imagefeatures.exports.reading import ahead, file_rows
from imagefeatures.readers import labels
from imagefeatures.readers.parquet import SMALL_FILE
from imagefeatures.storage.object_reader import ObjectReader

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Plan, SnapshotFile

KEYS = ("uri", "copy")
"""What rows are sorted by: augmented copies of a picture follow it in the order of their numbers."""


@dataclass(frozen=True)
class File:
    """A data file with rows of an export. rows: how many. first, last: the least and the greatest rank among all.

    ranks: of its rows, int64 [rows]; None: from first to last in order of the keys.
    """

    stored: SnapshotFile
    rows: int
    first: int
    last: int
    ranks: np.ndarray | None

    @property
    def alone(self) -> bool:
        """Whether no row of another file stands between its own."""
        return self.rows == self.last - self.first + 1

    def placed(self, batches: Iterable[pa.RecordBatch]) -> tuple[np.ndarray, Iterable[pa.RecordBatch]]:
        """The ranks of all rows of the file, and its batches."""
        if self.ranks is not None:
            return self.ranks, batches
        batches = list(batches)
        keys = [batch.select([name for name in KEYS if name in batch.schema.names]) for batch in batches]
        return self.first + _ranks(pa.Table.from_batches(keys)), batches


@dataclass(frozen=True)
class Found:
    """What a look at the files found. files: those with rows, in the order of their first ones.

    label_names: of the rows. made: the different values of the columns that were to be the same in all rows.
    augmented: whether there are augmented copies.
    """

    files: tuple[File, ...]
    label_names: frozenset[str]
    made: frozenset[tuple[str, ...]]
    augmented: bool


@dataclass(frozen=True)
class _Seen:
    """What is known of the rows of a file, of which there is at least one. keys: of each; None: they were not read."""

    stored: SnapshotFile
    rows: int
    least: bytes
    greatest: bytes
    keys: pa.Table | None
    label_names: frozenset[str]
    made: frozenset[tuple[str, ...]]
    augmented: bool


def find(plan: Plan, same: Sequence[str]) -> Found:
    """Look at every file of a plan. same: columns that should be the same in all rows.

    Raises as reading a file does.
    """
    seen = list(_of_each(plan.files, partial(_look, plan, same)))
    return Found(
        tuple(sorted(_in_order(plan, seen), key=lambda file: file.first)),
        frozenset().union(*(one.label_names for one in seen)),
        frozenset().union(*(one.made for one in seen)),
        any(one.augmented for one in seen),
    )


def _of_each(files: Sequence[SnapshotFile], look: partial[Iterator[_Seen]]) -> Iterator[_Seen]:
    return (one for _, found in ahead(files, lambda file: file, look) for one in found)


def _in_order(plan: Plan, seen: Sequence[_Seen]) -> Iterator[File]:
    by_uri = sorted(seen, key=lambda one: one.least)
    if all(one.greatest < other.least for one, other in pairwise(by_uri)):
        starts = accumulate((one.rows for one in by_uri), initial=0)
        for one, first in zip(by_uri, starts, strict=False):
            ranks = None if one.keys is None else first + _ranks(one.keys)
            yield File(one.stored, one.rows, first, first + one.rows - 1, ranks)
        return
    missing = [one.stored for one in seen if one.keys is None]
    read = {one.stored.uri: one.keys for one in _of_each(missing, partial(_read, plan, ()))}
    keys = pa.concat_tables([read[one.stored.uri] if one.keys is None else one.keys for one in seen])
    of_files = np.split(_ranks(keys), np.cumsum([one.rows for one in seen])[:-1])
    for one, ranks in zip(seen, of_files, strict=True):
        yield File(one.stored, one.rows, int(ranks.min()), int(ranks.max()), ranks)


def _look(plan: Plan, same: Sequence[str], file: SnapshotFile) -> Iterator[_Seen]:
    """What the footer says, where that is enough; else what the rows say. Nothing of a file without rows asked for."""
    told = None
    # The rows of a large file come a few at a time, so their ranks must be known before.
    if plan.condition is None and file.by_iceberg is None and file.size <= SMALL_FILE:
        told = _told(plan, same, file)
    return _read(plan, same, file) if told is None else iter((told,))


def _told(plan: Plan, same: Sequence[str], file: SnapshotFile) -> _Seen | None:
    """What the footer says; of labels where it says only that they differ, the column too. None: it is not enough."""
    footer = pq.read_metadata(ObjectReader(file.uri, file.size))
    places = {footer.schema.column(at).path: at for at in range(footer.num_columns)}
    uri, *made = (_bounds(footer, places.get(name)) for name in ("uri", *same))
    copies = _bounds(footer, places["copy"]) if "copy" in places else _Bounds(None, None, False)
    if uri is None or uri.least is None or uri.nulls or copies is None:
        return None
    one_value = [bounds.least for bounds in made if bounds is not None and bounds.single and not bounds.nulls]
    if len(one_value) < len(made):
        return None
    label = _bounds(footer, places.get("label"))
    if label is not None and label.single:
        names = [label.least.decode()]
    else:
        names = [*labels.names_in(batch.column("label") for batch in file_rows(plan, ("label",), file))]
    found = frozenset({tuple(value.decode() for value in one_value)})
    augmented = copies.greatest is not None and copies.greatest > 0
    return _Seen(file, footer.num_rows, uri.least, uri.greatest, None, frozenset(names), found, augmented)


class _Bounds(NamedTuple):
    """Of the values of a column in a file; None where all are null. Texts are bytes. nulls: whether there are any.

    Long texts may be cut, the greatest one upwards: so where the two are equal, they are the value.
    """

    least: Any
    greatest: Any
    nulls: bool

    @property
    def single(self) -> bool:
        """Whether the values that are not null are one."""
        return self.least is not None and self.least == self.greatest


def _bounds(footer: pq.FileMetaData, place: int | None) -> _Bounds | None:
    """What the footer says of a column; None where it does not say it."""
    if place is None or not footer.num_rows:
        return None
    least, greatest, nulls = [], [], 0
    for at in range(footer.num_row_groups):
        group = footer.row_group(at)
        said = group.column(place).statistics
        if said is None or not said.has_null_count:
            return None
        nulls += said.null_count
        if said.has_min_max:
            least.append(said.min_raw)
            greatest.append(said.max_raw)
        elif said.null_count < group.num_rows:
            return None
    return _Bounds(min(least, default=None), max(greatest, default=None), nulls > 0)


def _read(plan: Plan, same: Sequence[str], file: SnapshotFile) -> Iterator[_Seen]:
    """What the rows say."""
    batches: list[pa.RecordBatch] = []
    names: set[str] = set()
    made: set[tuple[str, ...]] = set()
    for batch in file_rows(plan, (*KEYS, "label", *same), file):
        batches.append(batch.select(KEYS))
        names.update(labels.names_in([batch.column("label")]))
        made.update(_different(batch, same))
    if not batches:
        return
    keys = pa.Table.from_batches(batches)
    ends = pc.min_max(keys["uri"])
    least, greatest = (ends[name].as_py().encode() for name in ("min", "max"))
    yield _Seen(file, len(keys), least, greatest, keys, frozenset(names), frozenset(made), _has_copies(keys))


def _different(batch: pa.RecordBatch, columns: Sequence[str]) -> set[tuple[str, ...]]:
    """The different rows of a few columns. Mostly it is one: that is seen without an object of Python for each row."""
    found = [batch.column(name).unique() for name in columns]
    if any(len(values) > 1 for values in found):
        found = [batch.column(name) for name in columns]
    return set(zip(*(values.to_pylist() for values in found), strict=True))


def _has_copies(keys: pa.Table) -> bool:
    return bool(pc.any(pc.greater(keys["copy"], 0)).as_py())


def _ranks(keys: pa.Table) -> np.ndarray:
    """The place of each row in the order of the keys, int64 [n]; equal ones stay in the order that they have."""
    if "copy" in keys.column_names and _has_copies(keys):
        keys = keys.set_column(1, "copy", keys["copy"].fill_null(0))
    else:  # a second key that is always the same would cost time and memory for nothing
        keys = keys.select(["uri"])
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names]).to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks
