"""unchanged: finds the URLs of a run whose vector the table holds, so that ingest asks whether they have changed.

ingest sends the row's ETag, or its Last-Modified, as a condition. A host that answers 304 sends no bytes, and the row
of the table becomes the run's row. So every row is proven before its URL is asked for with a condition: what fails, and
what the table of one of the run's outputs does not have, is asked for in full. The rows go on beside the bytes of the
others, from step to step, and the tables are not looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import schemas, storage
from imagefeatures.manifest import Listing, read_manifest
from imagefeatures.outputs import Output
from imagefeatures.pixels import PixelFormat
from imagefeatures.plan import Run
from imagefeatures.steps import reuse
from imagefeatures.steps.reuse import KnownFile, RowLocation
from imagefeatures.summaries import Search

_VERSION = [pa.field(name, schemas.FEATURES.field(name).type) for name in ("uri", "etag", "size")]


def columns(output: Output) -> pa.Schema:
    """The columns that are read of the rows of an output's table."""
    return pa.schema([*reuse.known_columns(output), *_VERSION])


_LOOKED_AT = pa.schema(
    [*_VERSION[:2], *(pa.field(n, schemas.FEATURES.field(n).type) for n in ("copy", "fingerprint", "run_id"))]
)

Newest = tuple[str, RowLocation]
"""The run_id of a row, which begins with the time of its plan, and where the row is."""


class Versions(NamedTuple):
    """The versions that a shard may ask about.

    tables: `columns`, for each output of the run. kinds: of the pixels of each. rows: by URI, the number of
    its row in each of them.
    """

    tables: Sequence[pa.Table]
    kinds: Sequence[PixelFormat | None]
    rows: dict[str, tuple[int, ...]]

    def etag(self, uri: str) -> str | None:
        """The version of a URL whose vectors all tables hold; None where there is none."""
        return self.tables[0]["etag"][self.rows[uri][0]].as_py() if uri in self.rows else None

    def reused(self, listed: pa.Table, output: int = 0) -> pa.Table:
        """schemas.reused of those rows of the manifest whose hosts say that they have not changed.

        output: the number of the output whose vectors they are.
        """
        places = [self.rows[uri][output] for uri in listed["uri"].to_pylist()]
        known = self.tables[output].take(pa.array(places, pa.int64()))
        schema = schemas.reused(self.kinds[output])
        columns = [
            (listed if field.name in ("uri", "label", "key") else known)[field.name].cast(field.type)
            for field in schema
        ]
        return pa.table(columns, schema=schema)


def files(run: Run) -> list[KnownFile]:
    """The files of the table to search; none where the source names no hosts, or the run reuses nothing."""
    return reuse.known_files(run) if run.source.names_hosts else []


def versions(run: Run, numbered: tuple[int, KnownFile]) -> Iterator[tuple[str, Newest]]:
    """(uri, where) of each URL of a file that has a version and the fingerprint of its output.

    numbered: the file, and its number. Raises StoreError when the store does not answer.
    """
    number, file = numbered
    output = reuse.output_of(run, file)
    for first, table in reuse.batches(file, _LOOKED_AT):
        usable = pc.and_(reuse.made_alike(output, table), pc.is_valid(table["etag"]))
        for row in pc.indices_nonzero(usable.combine_chunks().fill_null(False)).to_pylist():
            uri, run_id = table["uri"][row].as_py(), table["run_id"][row].as_py()
            if uri and _is_url(uri):
                yield uri, (run_id or "", (number, first + row))


def urls(run: Run, shard: int, listing: Listing | None = None) -> Iterator[tuple[str, int]]:
    """(uri, shard) of every URL of a shard. listing: of the run, if the caller has it."""
    rows = read_manifest(run, shard, listing)
    for uri, reason in zip(rows["uri"].to_pylist(), rows["reason"].to_pylist(), strict=True):
        if not reason and _is_url(uri):
            yield uri, shard


def newest(
    files: Sequence[KnownFile], pair: tuple[Iterable[Newest], Iterable[int]]
) -> Iterator[tuple[int, RowLocation]]:
    """For one URL: its shard, and where the row of each table is that was planned last; nothing where there is none.

    files: of all tables. pair: the rows of the tables, and the shard that has the URL.

    >>> list(newest([KnownFile("a", 1), KnownFile("b", 1)], ([("20261103T", (0, 9)), ("20261104T", (1, 7))], [3])))
    [(3, (1, 7))]
    """
    known, wanted = pair
    last = {}
    for _, location in sorted(known):
        file = files[location[0]]
        last[file.table, file.number] = location
    return ((shard, location) for shard in wanted for location in last.values())


def search(run: Run) -> Search:
    """The search for the versions of the run's URLs."""
    return Search(run.layout.versions_summary, run.layout.versions, reuse.LOCATIONS)


def known_versions(run: Run, shard: int) -> Versions:
    """The versions that a shard may ask about, every row checked. It may be that of an object that is too large now.

    Of a URL the tables of all outputs hold a row of the same version, or it is left out.

    Raises StoreError when the store does not answer, AuditFailed when the findings are not those of the search.
    """
    known = files(run)
    try:
        located: list[RowLocation] = search(run).read(shard) if known else []
    except storage.ObjectMissing:  # nobody has searched
        located = []
    valid = {(output.table, output.copy_number): [columns(output).empty_table()] for output in run.outputs}
    for number, locations in groupby(located, key=lambda location: location[0]):
        output, rows = reuse.output_of(run, known[number]), [row for _, row in locations]
        for first, table in reuse.batches(known[number], columns(output), rows):
            if in_batch := [row - first for row in rows if first <= row < first + table.num_rows]:
                found = reuse.valid_rows(output, table.take(in_batch))
                valid[output.table, output.copy_number].append(_within_limits(run, found))
    tables = [pa.concat_tables(of_output) for of_output in valid.values()]
    return Versions(tables, [output.kind for output in run.outputs], _of_one_version(tables))


def _of_one_version(tables: Sequence[pa.Table]) -> dict[str, tuple[int, ...]]:
    """By URI, the numbers of its rows in all tables, where all have the same bytes and version of it."""

    def numbered(table: pa.Table) -> dict[tuple[str, ...], int]:
        columns = (table[name].to_pylist() for name in ("uri", "image_id", "etag"))
        return {version: row for row, version in enumerate(zip(*columns, strict=True))}

    rows = list(map(numbered, tables))
    return {
        version[0]: tuple(of_table[version] for of_table in rows)
        for version in rows[0]
        if all(version in of_table for of_table in rows)
    }


def _within_limits(run: Run, table: pa.Table) -> pa.Table:
    """The rows of objects that the run's limits let through, and that have a version. Others are asked for in full."""
    limits = run.dataset.limits
    pixels = pc.multiply(table["width"].cast(pa.int64()), table["height"].cast(pa.int64()))
    fits = pc.and_(pc.less_equal(pixels, limits.max_pixels), pc.less_equal(table["size"], limits.max_bytes))
    return table.filter(pc.and_(fits, pc.and_(pc.is_valid(table["etag"]), pc.is_valid(table["uri"]))))


def _is_url(uri: str) -> bool:
    return uri[:8].lower().startswith(("http://", "https://"))
