"""The rows of an export in order of URI, however large the table and in whatever order its files have them.

The URIs alone are read first and sorted: about 100 MB for a million. The rank of each row is kept, 8 bytes a row. Then
the rows come in windows: every file that has rows of a window is read, and its rows are put at their places. The files
of a folder follow its listing, which is sorted: windows are small, and each file is read once. Where the URIs of a file
are scattered, as those of URLs are, windows are as large as WINDOW_BYTES, and the file is read once for each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import names, read, schemas
from imagefeatures.errors import InputError
from imagefeatures.exports.content import BATCH_ROWS, Batch
from imagefeatures.readers import labels
from imagefeatures.settings import Settings

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Plan, Selection, SnapshotFile

T = TypeVar("T")

WINDOW_BYTES = 128 << 20
"""The most bytes of vectors that are put in order at a time."""

SMALL_FILE = 4 << 20
"""A file of at most this size, in bytes, is read before its turn. A shard of 512 vectors has 2 MB."""

FILES_AHEAD = 4
"""How many small files are read at the same time."""

SAMPLE_FILES = 4
MOST_SAMPLE_FILES = 32
SAMPLE_ROWS = 1000  # no power of two: HDF5 would fill its last chunks, as those of an export are not

MODEL_COLUMNS = ("model", "fingerprint")


@dataclass(frozen=True)
class Rows:
    """The rows that are asked for, of one snapshot.

    snapshot: its id. model, fingerprint: of all rows. width: of their vectors. label_names: of all rows of the
    snapshot, sorted, so that a label has the same number in every export of it.
    """

    settings: Settings
    dataset: str
    snapshot: int
    model: str
    fingerprint: str
    width: int
    label_names: tuple[str, ...]
    _plan: Plan
    _files: tuple[_File, ...]

    def __len__(self) -> int:
        return sum(len(file.ranks) for file in self._files)

    def vectors(self) -> Iterator[np.ndarray]:
        """The vectors in the order of the files, float32 [n, width] at a time: for what does not depend on the order.

        Raises what `read.batches` raises, and InputError for a vector of another width.
        """
        from imagefeatures.catalog import failures

        with failures.readable(names.table_name(self.dataset), self.settings.catalog):
            for _, batches in _ahead(
                self._files, lambda file: file.stored, partial(_file_rows, self._plan, ("features",))
            ):
                for batch in batches:
                    yield self._vectors(batch)

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """The rows in order of URI, BATCH_ROWS at a time; the last batch has the rest.

        columns: the facts, `label` among them. Raises as `vectors` does.
        """
        from imagefeatures.catalog import failures

        size = self.window_rows
        tasks: list[tuple[int, _File]] = []
        for file in self._files:  # in the order of their first rows: a file of two windows is the last, and the first
            tasks += [(window, file) for window in range(file.first // size, file.last // size + 1)]
        tasks.sort(key=lambda task: task[0])
        read_file = partial(_file_rows, self._plan, ("features", *columns))
        with failures.readable(names.table_name(self.dataset), self.settings.catalog):
            found = _ahead(tasks, lambda task: task[1].stored, read_file)
            for window, group in groupby(found, lambda task: task[0][0]):
                first = window * size
                rows = min(size, len(self) - first)
                filling = _Window(first, np.empty((rows, self.width), np.float32))
                for (_, file), batches in group:
                    offset = 0
                    for batch in batches:
                        ranks = file.ranks[offset : offset + batch.num_rows]
                        filling.add(ranks, self._vectors(batch), batch.select(columns))
                        offset += batch.num_rows
                yield from filling.batches(self.label_names)

    def sample(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Some rows of a few files, or of more where they have few: SAMPLE_ROWS at most, in one batch."""
        files = self._files[:: -(-len(self._files) // MOST_SAMPLE_FILES)]
        few = -(-len(files) // SAMPLE_FILES)
        batches: list[pa.RecordBatch] = []
        left = SAMPLE_ROWS
        for file in (file for start in range(few) for file in files[start::few]):  # the first ones are far apart
            here = min(left, SAMPLE_ROWS // min(SAMPLE_FILES, len(files)))
            for batch in _file_rows(self._plan, ("features", *columns), file.stored):
                batches.append(batch.slice(0, here))
                here -= batches[-1].num_rows
                left -= batches[-1].num_rows
                if not here:
                    break
            if not left:
                break
        (rows,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
        label = labels.encode(rows.column("label"), self.label_names)
        yield Batch(self._vectors(rows), label, rows.select(columns))

    @property
    def window_rows(self) -> int:
        """The rows of a window, whole batches: as few as hold any file's, so that the processor's cache holds them."""
        widest = max(file.last - file.first + 1 for file in self._files)
        most = max(1, WINDOW_BYTES // (4 * self.width * BATCH_ROWS))
        return min(-(-widest // BATCH_ROWS), most) * BATCH_ROWS

    def _vectors(self, batch: pa.RecordBatch) -> np.ndarray:
        found = read.vectors(batch)
        if len(found) and found.shape[1] != self.width:
            raise InputError(
                f"{names.table_name(self.dataset)}: vectors of {self.width} and of {found.shape[1]} values; "
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

    def add(self, ranks: np.ndarray, vectors: np.ndarray, facts: pa.RecordBatch) -> None:
        """Take those rows of a batch that belong here."""
        places = ranks - self._first
        inside = (places >= 0) & (places < len(self._values))
        if not inside.all():
            places, vectors, facts = places[inside], vectors[inside], facts.filter(pa.array(inside))
        self._values[places] = vectors
        self._places.append(places)
        self._facts.append(facts)

    def batches(self, label_names: Sequence[str]) -> Iterator[Batch]:
        order = np.empty(len(self._values), np.int64)
        order[np.concatenate(self._places)] = np.arange(len(order))
        facts = pa.Table.from_batches(self._facts).combine_chunks()
        if (np.diff(order) != 1).any():
            facts = facts.take(order)
        for first in range(0, len(order), BATCH_ROWS):
            values = self._values[first : first + BATCH_ROWS]
            (rows,) = facts.slice(first, BATCH_ROWS).to_batches()
            yield Batch(values, labels.encode(rows.column("label"), label_names), rows)


def find(settings: Settings, dataset: str, selection: Selection) -> Rows:
    """The rows of features.<dataset> that are asked for, and their order. Reads their URIs, and the snapshot's labels.

    Raises what `read.batches` raises, and InputError where there are none, or where they have several fingerprints.
    """
    from imagefeatures.catalog import failures, snapshots

    table = names.table_name(dataset)
    if dataset in schemas.TABLES:
        raise InputError(f"{table}: has no vectors; name a dataset")
    plan = snapshots.plan(settings, dataset, selection)
    columns = ("uri", "label", *MODEL_COLUMNS)
    uris: list[pa.Array] = []
    counts: list[int] = []
    models: set[tuple[str, str]] = set()
    label_names: set[str] = set()
    with failures.readable(table, settings.catalog):
        for _, batches in _ahead(plan.files, lambda file: file, partial(_file_rows, plan, columns)):
            counts.append(0)
            for batch in batches:
                counts[-1] += batch.num_rows
                uris.append(batch.column("uri"))
                label_names.update(labels.names_in([batch.column("label")]))
                models.update(zip(*(batch.column(name).to_pylist() for name in MODEL_COLUMNS), strict=True))
    if plan.condition is not None:
        label_names = _label_names(settings, dataset, plan.snapshot)
    if not uris or plan.snapshot is None:
        raise InputError(f"{table}: no row is asked for that it has; nothing is exported")
    if len(models) > 1:
        two = " and ".join(f"{model} {fingerprint}" for model, fingerprint in sorted(models)[:2])
        raise InputError(
            f"{table}: vectors of several fingerprints ({two}) cannot be compared; choose by --partition, or run the "
            "older partitions again"
        )
    ((model, fingerprint),) = models
    order = pc.sort_indices(pa.chunked_array(uris), sort_keys=[("", "ascending")]).to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    of_files = np.split(ranks, np.cumsum(counts)[:-1])
    files = [
        _File(file, own, int(own.min()), int(own.max()))
        for file, own in zip(plan.files, of_files, strict=True)
        if len(own)
    ]
    first = next(_file_rows(plan, ("features",), files[0].stored))
    width = read.vectors(first).shape[1]
    return Rows(
        settings,
        dataset,
        plan.snapshot,
        model,
        fingerprint,
        width,
        tuple(sorted(label_names)),
        plan,
        tuple(sorted(files, key=lambda file: file.first)),
    )


def _label_names(settings: Settings, dataset: str, snapshot: int | None) -> set[str]:
    """All labels of a snapshot."""
    rows = read.batches(settings, dataset, columns=("label",), snapshot=snapshot)
    return set(labels.names_in(batch.column("label") for batch in rows))


def _ahead(
    tasks: Iterable[T],
    file_of: Callable[[T], SnapshotFile],
    rows: Callable[[SnapshotFile], Iterator[pa.RecordBatch]],
) -> Iterator[tuple[T, Iterable[pa.RecordBatch]]]:
    """Each task with the rows of its file. Small files are read ahead, as `read.batches` does it.

    Where two tasks of the same small file follow each other, it is read once.
    """
    pool = ThreadPoolExecutor(FILES_AHEAD)
    last: SnapshotFile | None = None
    reading: Callable[[], Iterable[pa.RecordBatch]] = tuple

    def begun(task: T) -> tuple[T, Callable[[], Iterable[pa.RecordBatch]]]:
        nonlocal last, reading
        file = file_of(task)
        if file.size > SMALL_FILE:
            return task, partial(rows, file)
        if file is not last:
            last, reading = file, pool.submit(list, rows(file)).result
        return task, reading

    waiting = iter(tasks)
    try:
        ahead = deque(map(begun, islice(waiting, FILES_AHEAD)))
        while ahead:
            task, result = ahead.popleft()
            yield task, result()
            ahead.extend(map(begun, islice(waiting, 1)))
    finally:
        pool.shutdown(cancel_futures=True)


def _file_rows(plan: Plan, columns: Sequence[str], file: SnapshotFile) -> Iterator[pa.RecordBatch]:
    """The rows of a file that the plan asks for, in its order; the columns in the order that is given."""
    needed = pa.schema([field for field in schemas.FEATURES if field.name in plan.mentions or field.name in columns])
    stored: Iterator[pa.RecordBatch]
    if file.by_iceberg is None:
        stored = (batch for _, batch in read.file_batches(file.uri, file.size, needed.names))
    else:
        stored = file.by_iceberg(needed.names)
    for batch in stored:
        batch = read.with_schema(batch, needed)
        if plan.condition is not None:
            batch = batch.filter(plan.condition)
        if batch.num_rows:
            yield batch.select(columns)
