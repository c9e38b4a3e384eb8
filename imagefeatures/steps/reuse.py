"""reuse: find the vectors that the table holds of a run's images already, and prove each before it is taken.

plan writes down which data files may hold vectors of the run's fingerprint. The resize job joins their image_ids with
the run's, by hash, and tells each shard where to look. Of what is found nothing is believed: a row counts only if it
says itself that it is of the same bytes, the same model and the same fingerprint, and if its vector is whole. An image
without such a row is computed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import read, schemas, storage
from imagefeatures.errors import StoreRefused
from imagefeatures.plan import Run
from imagefeatures.shards import read_output
from imagefeatures.steps import VALIDATE

KNOWN = pa.schema(
    [(n, schemas.FEATURES.field(n).type) for n in ("image_id", "width", "height", "mode", "model", "fingerprint")]
    + [("features", pa.list_(pa.float32()))]
)
"""What is read of a row of the table. Anything may be null: it is not known yet who wrote it."""

UNREADABLE = (storage.ObjectMissing, StoreRefused, pa.ArrowException, OSError, KeyError)
"""What a file raises that is gone, or is not what it was. (A store that does not answer raises StoreError.)"""


class KnownFile(NamedTuple):
    """A data file of the table. size: in bytes."""

    uri: str
    size: int


RowLocation = tuple[int, int]
"""Where a row of the table stands: the number of its file in `known_files`, and its row there."""


def known_files(run: Run) -> list[KnownFile]:
    """The data files that plan has found to reuse vectors from; none when the run shall compute everything."""
    if not run.dataset.reuse:
        return []
    try:
        return [KnownFile(*file) for file in json.loads(storage.read(run.layout.known_files))]
    except storage.ObjectMissing:
        return []


def row_locations(run: Run, numbered: tuple[int, KnownFile]) -> Iterator[tuple[str, RowLocation]]:
    """(image_id, place) of each row of a file that says it is of the run's fingerprint."""
    number, file = numbered
    for first, table in _batches(file, ["image_id", "fingerprint"]):
        right = pc.equal(table["fingerprint"], run.fingerprint).to_pylist()
        for row, (image_id, is_right) in enumerate(zip(table["image_id"].to_pylist(), right, strict=True), first):
            if image_id and is_right:
                yield image_id, (number, row)


def identities(run: Run, shard: int) -> Iterator[tuple[str, int]]:
    """(image_id, shard) of every image that validate let through."""
    for image_id in read_output(run.layout, VALIDATE, shard, columns=["image_id"])["image_id"].to_pylist():
        yield image_id, shard


def matches(found: tuple[Iterable[RowLocation], Iterable[int]]) -> Iterator[tuple[int, RowLocation]]:
    """Of one image_id: (shard, place) for each shard that has such an image. Of several places it is the first.

    >>> list(matches(([(1, 7), (0, 9)], [3, 5, 3])))
    [(3, (0, 9)), (5, (0, 9))]
    """
    known, wanted = found
    place = min(known, default=None)
    return iter([]) if place is None else ((shard, place) for shard in sorted(set(wanted)))


def write_matches(run: Run, shard: int, found: Iterable[RowLocation]) -> None:
    """Write down where the table has a shard's images, for its `run_shard`. The same bytes however often it is done."""
    storage.write(run.layout.known_images(shard), json.dumps(sorted(found)).encode())


def known_images(run: Run, shard: int) -> pa.Table:
    """The rows of the table that hold images of a shard: KNOWN, every row proven, an image_id at most once.

    Raises StoreError when the store stays away; what else is wrong with a file or row leaves it out.
    """
    valid = [KNOWN.empty_table()]
    if files := known_files(run):
        for number, there in groupby(_read_matches(run, shard), key=lambda place: place[0]):
            rows = [row for _, row in there]
            for first, table in _batches(files[number], KNOWN.names, rows):
                if here := [row - first for row in rows if first <= row < first + table.num_rows]:
                    valid.append(_valid_rows(run, table.take(here)))
    return pa.concat_tables(valid)


def split_known(verdicts: pa.Table, known: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Part a shard's images: schemas.REUSED of those that are known, and the verdicts of the others.

    Both keep their order. What an image is called comes from its verdict; what was seen in its pixels, and
    its vector, from the known row.
    """
    # The first of equal ones: whatever stands twice in `known` is the same vector anyway.
    at = pc.index_in(verdicts["image_id"].combine_chunks(), known["image_id"].combine_chunks())
    old = known.take(at.drop_null())
    named = verdicts.filter(at.is_valid())
    seen = ("width", "height", "mode", "features")
    columns = [(old if name in seen else named)[name].cast(kind) for name, kind in _types(schemas.REUSED)]
    return pa.table(columns, schema=schemas.REUSED), verdicts.filter(at.is_null())


def _valid_rows(run: Run, table: pa.Table) -> pa.Table:
    """Those rows (KNOWN) of which nothing speaks against taking their vectors."""
    width = run.model.width
    right = pc.and_(pc.equal(table["fingerprint"], run.fingerprint), pc.equal(table["model"], run.dataset.model))
    right = pc.and_(right, pc.equal(pc.list_value_length(table["features"]), width))
    for name in ("image_id", "width", "height", "mode"):
        right = pc.and_(right, pc.is_valid(table[name]))
    table = table.filter(right)  # what is null is not right
    return table.filter(pa.array(np.isfinite(read.vectors(table)).all(axis=1)))


def _batches(file: KnownFile, columns: list[str], rows: list[int] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """(number of its first row, rows as KNOWN has them) of a file, in parts: a compacted one may exceed the memory.

    rows: only row groups that hold one of them. What cannot be read is left out.
    """
    schema = pa.schema([KNOWN.field(name) for name in columns])
    try:
        for first, batch in read.file_batches(*file, columns, rows):
            yield first, pa.Table.from_batches([batch]).select(columns).cast(schema)
    except UNREADABLE:
        return


def _types(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in schema]


def _read_matches(run: Run, shard: int) -> list[RowLocation]:
    try:
        found: list[RowLocation] = json.loads(storage.read(run.layout.known_images(shard)))
    except storage.ObjectMissing:
        return []
    return found
