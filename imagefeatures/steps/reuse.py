"""reuse: finds vectors of a run's images that the table already holds, and checks each before it is used.

plan writes down which data files may hold vectors of the run's fingerprints, of the table of each output. The resize
job joins their image_ids with the run's, by hash, and writes down for each shard where its images are. No such note is
trusted: a row is used only if it has the same SHA-256, model and fingerprint, and a complete vector. The vectors of all
other images are computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import read, schemas, sealed, storage
from imagefeatures.errors import StoreRefused
from imagefeatures.outputs import Output
from imagefeatures.pixels import PixelFormat
from imagefeatures.plan import Run
from imagefeatures.shards import read_output
from imagefeatures.steps import VALIDATE
from imagefeatures.summaries import Search

KNOWN = pa.schema(
    [
        (n, schemas.FEATURES.field(n).type)
        for n in ("image_id", "width", "height", "mode", "copy", "model", "fingerprint")
    ]
    + [("features", pa.list_(pa.float32()))]
)
"""The columns that are read from the table. Any value may be null: the row may be another writer's."""


def known_columns(output: Output) -> pa.Schema:
    """The same of an output's table: KNOWN, or of a table of pixels the columns in their place."""
    if output.kind is None:
        return KNOWN
    same = [KNOWN.field(name) for name in ("image_id", "width", "height", "mode", "copy", "fingerprint")]
    return pa.schema([*same, ("pixels", output.kind.storage)])


_LOOKED_AT = pa.schema([KNOWN.field("image_id"), KNOWN.field("copy"), KNOWN.field("fingerprint")])

UNREADABLE = (storage.ObjectMissing, StoreRefused, pa.ArrowException, OSError, KeyError)
"""The errors of a file that is gone or has changed. (A store that does not answer raises StoreError.)"""


class KnownFile(NamedTuple):
    """A data file of a table, and of which augmented copies its rows are searched.

    size: in bytes. table: its name; empty for the run's first, as earlier versions wrote. number: of the copies.
    """

    uri: str
    size: int
    table: str = ""
    number: int = 0


RowLocation = tuple[int, int]
"""The location of a row of the table: the number of its file in `known_files`, and its number in the file."""

LOCATIONS = pa.schema([pa.field("file", pa.int64(), False), pa.field("row", pa.int64(), False)])
"""The matches of a shard: a RowLocation each."""


def known_files(run: Run) -> list[KnownFile]:
    """The data files in which plan found vectors to reuse; none when the run computes all vectors.

    Raises AuditFailed when the list is not the one that plan wrote.
    """
    if not run.dataset.reuse:
        return []
    uri = run.layout.known_files
    try:
        return [KnownFile(*file) for file in sealed.decode(uri, storage.read(uri))["files"]]
    except storage.ObjectMissing:
        return []


def output_of(run: Run, file: KnownFile) -> Output:
    """The output of the run whose table has the file, and whose rows are searched in it."""
    place = (file.table or run.tables[0], file.number)
    return next(output for output in run.outputs if (output.table, output.copy_number) == place)


def row_locations(run: Run, numbered: tuple[int, KnownFile]) -> Iterator[tuple[str, RowLocation]]:
    """(image_id, location) of each row of a file that its output may use. numbered: the file and its number."""
    number, file = numbered
    output = output_of(run, file)
    for first, table in batches(file, _LOOKED_AT):
        usable = made_alike(output, table).to_pylist()
        for row, (image_id, is_usable) in enumerate(zip(table["image_id"].to_pylist(), usable, strict=True), first):
            if image_id and is_usable:
                yield image_id, (number, row)


def identities(run: Run, shard: int) -> Iterator[tuple[str, int]]:
    """(image_id, shard) of every image that validate passed."""
    for image_id in read_output(run.layout, VALIDATE, shard, columns=["image_id"])["image_id"].to_pylist():
        yield image_id, shard


def matches(
    files: Sequence[KnownFile], pair: tuple[Iterable[RowLocation], Iterable[int]]
) -> Iterator[tuple[int, RowLocation]]:
    """For one image_id: (shard, location) for each shard that has the image; the first of several in a table.

    files: known_files. pair: the locations of the image in the tables, and the shards that have it.

    >>> files = [KnownFile("a", 1), KnownFile("b", 1), KnownFile("c", 1, "fruit__resnet50")]
    >>> list(matches(files, ([(1, 7), (0, 9), (2, 4)], [3, 5, 3])))
    [(3, (0, 9)), (3, (2, 4)), (5, (0, 9)), (5, (2, 4))]
    """
    known, wanted = pair
    first: dict[tuple[str, int], RowLocation] = {}
    for location in sorted(known):
        file = files[location[0]]
        first.setdefault((file.table, file.number), location)
    return ((shard, location) for shard in sorted(set(wanted)) for location in first.values())


def search(run: Run) -> Search:
    """The search for the run's images in the table: a RowLocation for each that it holds."""
    return Search(run.layout.known_summary, run.layout.known_images, LOCATIONS)


def known_images(run: Run, shard: int, output: Output | None = None) -> pa.Table:
    """The rows of an output's table that hold images of a shard: known_columns, each checked, an image_id at most once.

    output: of the run; by default the first. Leaves out invalid rows and files of the table that cannot be read. Raises
    StoreError when the store does not answer, AuditFailed when the matches are not those that the search wrote.
    """
    output = output or run.outputs[0]
    columns = known_columns(output)
    valid = [columns.empty_table()]
    files = known_files(run)
    try:
        located: list[RowLocation] = search(run).read(shard) if files else []
    except storage.ObjectMissing:  # nobody has searched
        located = []
    for number, locations in groupby(located, key=lambda location: location[0]):
        if output_of(run, files[number]) != output:
            continue
        rows = [row for _, row in locations]
        for first, table in batches(files[number], columns, rows):
            if in_batch := [row - first for row in rows if first <= row < first + table.num_rows]:
                valid.append(valid_rows(output, table.take(in_batch)))
    return pa.concat_tables(valid)


def lacked(verdicts: pa.Table, known: pa.Table) -> np.ndarray:
    """Which of a shard's images are not known: bool [n]."""
    missing: np.ndarray = _places(verdicts, known).is_null().to_numpy(zero_copy_only=False)
    return missing


def known_rows(verdicts: pa.Table, known: pa.Table, kind: PixelFormat | None = None) -> pa.Table:
    """schemas.reused(kind) of those of a shard's images that are known, in their order.

    Width, height, mode and vector or pixels of a known image are those of its known row; the other columns are those
    of its verdict.
    """
    index = _places(verdicts, known)
    known_rows = known.take(index.drop_null())
    known_verdicts = verdicts.filter(index.is_valid())
    from_row, schema = ("width", "height", "mode", "features", "pixels"), schemas.reused(kind)
    columns = [
        (known_rows if field.name in from_row else known_verdicts)[field.name].cast(field.type) for field in schema
    ]
    return pa.table(columns, schema=schema)


def _places(verdicts: pa.Table, known: pa.Table) -> pa.Array:
    """The number of each image's known row; null where there is none."""
    # Of rows with the same image_id the first: their vectors are the same.
    return pc.index_in(verdicts["image_id"].combine_chunks(), known["image_id"].combine_chunks())


def valid_rows(output: Output, table: pa.Table) -> pa.Table:
    """The rows whose vectors or pixels may be used for an output. table: known_columns, and any other columns."""
    valid = made_alike(output, table)
    if output.model:
        valid = pc.and_(valid, pc.equal(table["model"], output.model.name))
        valid = pc.and_(valid, pc.equal(pc.list_value_length(table["features"]), output.model.width))
    for name in ("image_id", "width", "height", "mode", *(() if output.model else ("pixels",))):
        valid = pc.and_(valid, pc.is_valid(table[name]))
    table = table.filter(valid)  # a null counts as false
    if output.model is None:
        return table
    return table.filter(pa.array(np.isfinite(read.vectors(table)).all(axis=1)))


def made_alike(output: Output, table: pa.Table) -> pa.ChunkedArray:
    """Whether each row is of the output's copies and fingerprint. table: with the columns `copy` and `fingerprint`."""
    known = pa.array(output.known_fingerprints, pa.string())
    same = pc.equal(table["copy"].fill_null(0), output.copy_number)
    return pc.and_(pc.is_in(table["fingerprint"], value_set=known), same)


def batches(file: KnownFile, schema: pa.Schema, rows: list[int] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """(number of the first row, rows) of a file, in batches: a compacted file may exceed memory.

    schema: of the columns that are read; a file that is older than `copy` has none. rows: only row groups that hold one
    of these. A file that cannot be read ends the iteration.
    """
    try:
        for first, batch in read.file_batches(file.uri, file.size, schema.names, rows):
            table = pa.Table.from_batches([batch])
            if "copy" not in table.column_names:
                table = table.append_column(_LOOKED_AT.field("copy"), pa.nulls(table.num_rows, pa.int32()))
            yield first, table.select(schema.names).cast(schema)
    except UNREADABLE:
        return
