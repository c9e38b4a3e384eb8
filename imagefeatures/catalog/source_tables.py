"""Tables of the catalog that are a source: other people's, wherever they lie. They are read, and never written.

A table is read as one snapshot has it, file by file in the order of the files' URIs, and a file by batches: memory
depends neither on the size of a file nor on that of the table.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, BooleanExpression, parser
from pyiceberg.expressions.visitors import bind, extract_field_ids
from pyiceberg.io.pyarrow import _read_all_delete_files, expression_to_pyarrow, schema_to_pyarrow
from pyiceberg.manifest import FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import DataScan, FileScanTask, Table
from pyiceberg.transforms import IdentityTransform
from pyparsing import ParseException

from imagefeatures.catalog import connect, failures, loading
from imagefeatures.catalog.file_io import plain_uri
from imagefeatures.catalog.filters import as_in_sql
from imagefeatures.errors import InputError
from imagefeatures.reasons import printable
from imagefeatures.settings import Settings

Batches = Iterator[tuple[list[int], pa.RecordBatch]]
"""(the numbers of the rows in their file from 0 on, the rows)."""

BATCH_ROWS = 4096
BLOCK = 1 << 20
"""So many bytes of each column are fetched at a time."""

NUMBER = "imagefeatures row number"
FIELD_ID = b"PARQUET:field_id"

REMEDY = "the table is not this service's: ask its owner to repair it"

NAMED = 10
"""How many of the tables or columns that are there are named where one is not."""


def newest_snapshot(settings: Settings, name: str) -> int | None:
    """The id of a table's current snapshot; None for a table that never had a row. name: `namespace.table`.

    Raises InputError (no such table), SettingsError, CatalogRefused, CatalogError.
    """
    with _table(settings, name) as table:
        snapshot = table.current_snapshot()
        return snapshot.snapshot_id if snapshot else None


def check(settings: Settings, name: str, columns: Sequence[str], where: str | None, snapshot: int | None) -> None:
    """Check what `batches` will be asked for. Raises InputError, in one line, and as `newest_snapshot`."""
    with _table(settings, name) as table:
        _check(table, name, columns, _condition(name, where), snapshot)


def batches(
    settings: Settings, name: str, columns: Sequence[str], where: str | None, snapshot: int | None
) -> Iterator[tuple[str, Batches]]:
    """For each data file its URI and its batches: the rows that meet a condition, without those that were deleted.

    columns: these alone are read, and those of the condition. where: as pyiceberg parses it; None: every row.
    snapshot: the id of one; None: the current one. The batches of a file are to be read before the next file is asked
    for. Raises as `check`, and StoreError or StoreRefused.
    """
    rows = _condition(name, where)
    with _table(settings, name) as table:
        wanted = _check(table, name, columns, rows, snapshot)
        scan = table.scan(row_filter=rows, snapshot_id=snapshot)
        for task in sorted(scan.plan_files(), key=lambda task: task.file.file_path):
            found = _of_file(scan, task, wanted)
            yield plain_uri(task.file.file_path), failures.each(found, name, settings.catalog, REMEDY)


@dataclass(frozen=True)
class _Wanted:
    """schema: the columns to read. columns: those of them to hand out. condition: on the rows."""

    schema: Schema
    columns: list[str]
    condition: pc.Expression | None


def _of_file(scan: DataScan, task: FileScanTask, wanted: _Wanted) -> Batches:
    """The rows of a file. Not by pyiceberg's own reader, which holds what it reads of a whole file."""
    if task.file.file_format != FileFormat.PARQUET:
        raise InputError(f"{task.file.file_path} is {task.file.file_format.value}; only Parquet is read")
    positions = _read_all_delete_files(scan.io, [task]).get(task.file.file_path, [])
    deleted = pa.chunked_array([chunk for array in positions for chunk in array.chunks], pa.int64()).to_numpy()
    with scan.io.new_input(task.file.file_path).open() as source, pq.ParquetFile(source, buffer_size=BLOCK) as file:
        names = _names(scan, file.schema_arrow)
        there = [names[field.field_id] for field in wanted.schema.fields if field.field_id in names]
        first = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=there, use_threads=False):
            numbers = np.arange(first, first + batch.num_rows)
            first += batch.num_rows
            rows = _in_the_tables_types(batch, names, scan, task, wanted.schema)
            rows = rows.append_column(NUMBER, pa.array(numbers)).filter(pa.array(~np.isin(numbers, deleted)))
            if wanted.condition is not None:
                rows = rows.filter(wanted.condition)
            yield rows[NUMBER].to_pylist(), rows.select(wanted.columns)
        if first != file.metadata.num_rows:  # Arrow takes a column that ends too soon for a shorter one
            raise pa.ArrowInvalid(
                f"{task.file.file_path}: its footer claims {file.metadata.num_rows:,} rows, and {first:,} are there"
            )


def _names(scan: DataScan, schema: pa.Schema) -> dict[int, str]:
    """The name that each column has in a file, by the number of the table's column."""
    if numbered := {
        int(field.metadata[FIELD_ID]): field.name for field in schema if FIELD_ID in (field.metadata or {})
    }:
        return numbered
    mapping = scan.table_metadata.name_mapping() or scan.projection().name_mapping
    numbers = {name: part.field_id for part in mapping.root for name in part.names}
    return {number: name for name in schema.names if (number := numbers.get(name)) is not None}


def _in_the_tables_types(
    batch: pa.RecordBatch, names: dict[int, str], scan: DataScan, task: FileScanTask, schema: Schema
) -> pa.RecordBatch:
    """A file's columns with the names and types of the table. One that the file lacks has the same value everywhere."""
    spec = scan.table_metadata.specs()[task.file.spec_id]
    of_all = {
        part.source_id: task.file.partition[at]
        for at, part in enumerate(spec.fields)
        if isinstance(part.transform, IdentityTransform)
    }
    columns = []
    for field, kind in zip(schema.fields, schema_to_pyarrow(schema, include_field_ids=False).types, strict=True):
        if field.field_id in names:
            columns.append(batch[names[field.field_id]].cast(kind))
        else:
            value = of_all.get(field.field_id, field.initial_default)
            columns.append(pa.repeat(pa.scalar(value, kind), batch.num_rows))
    return pa.RecordBatch.from_arrays(columns, [field.name for field in schema.fields])


@contextlib.contextmanager
def _table(settings: Settings, name: str) -> Iterator[Table]:
    """The table, while the catalog is open; what is raised meanwhile becomes one line."""
    namespace, _, last = name.rpartition(".")
    place = connect.describe(settings.catalog)
    with failures.readable(name, settings.catalog, REMEDY):
        if not connect.exists(settings.catalog):  # opening it would make it
            raise InputError(f"there is no table {name}: {place} is not there yet")
        with loading.load_catalog(settings) as catalog:
            try:
                table = catalog.load_table(name)
            except (NoSuchTableError, NoSuchNamespaceError):
                there: list[str] = []
                with contextlib.suppress(NoSuchNamespaceError):
                    there = sorted(identifier[-1] for identifier in catalog.list_tables(namespace))
                known = f"namespace {namespace} has {_some(there)}" if there else f"namespace {namespace} has no table"
                raise InputError(f"there is no table {last} in {place}: {known}") from None
            yield table


def _condition(name: str, where: str | None) -> BooleanExpression:
    if where is None:
        return AlwaysTrue()
    try:
        return as_in_sql(parser.parse(where))
    except (ParseException, ValueError, RecursionError) as error:
        example = "such as: day = '2026-11-01' and n > 3"
        raise InputError(f"{name}: filter is no condition, {example} ({failures.line(error)})") from None


def _check(table: Table, name: str, columns: Sequence[str], rows: BooleanExpression, snapshot: int | None) -> _Wanted:
    """What is to be read of a table, if columns and condition are those of the snapshot. Raises InputError."""
    if snapshot is not None and table.snapshot_by_id(snapshot) is None:
        raise InputError(f"{name}: there is no snapshot {snapshot}; it may have expired: start a new run")
    schema = table.scan(snapshot_id=snapshot).projection()
    there = {field.name: field.field_id for field in schema.fields}
    if missing := [column for column in columns if column not in there]:
        raise InputError(f"{name}: there is no column {missing[0]!r}; there are {_some(list(there))}")
    try:
        bound = bind(schema, rows, case_sensitive=True)
        # Without the schema, by which pyiceberg would take a column named a.b for the field b of a column a.
        condition = None if rows == AlwaysTrue() else expression_to_pyarrow(bound)
    except (ValueError, TypeError, ArithmeticError) as error:
        # No such column; another type; a number too large for it.
        raise InputError(f"{name}: filter does not fit the table: {failures.line(error)}") from None
    mentioned = extract_field_ids(bound)
    if inner := sorted(mentioned - set(there.values())):
        path = schema.find_column_name(inner[0])
        raise InputError(
            f"{name}: filter names {printable(path)}, which lies inside a column; only columns of the top level can be "
            "compared"
        )
    named = mentioned | {there[column] for column in columns}
    wanted = Schema(*(field for field in schema.fields if field.field_id in named))
    if condition is not None:
        try:
            pa.RecordBatch.from_pylist([], schema_to_pyarrow(wanted)).filter(condition)
        except pa.ArrowException as error:  # it cannot compare some types, and says so only of rows
            raise InputError(f"{name}: filter does not fit the table: {failures.line(error)}") from None
    return _Wanted(wanted, list(columns), condition)


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names[:NAMED])) + ", …" * (len(names) > NAMED)
