"""What is to be read of a table, settled once: the files of one snapshot, and which of their rows are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, parser
from pyiceberg.expressions.visitors import bind, extract_field_ids
from pyiceberg.io.pyarrow import ArrowScan, expression_to_pyarrow
from pyiceberg.manifest import FileFormat
from pyiceberg.table import DataScan, FileScanTask, Table
from pyparsing import ParseException

from imagefeatures import names, schemas
from imagefeatures.catalog import connect, failures, tables
from imagefeatures.catalog.filters import one_of
from imagefeatures.errors import InputError
from imagefeatures.settings import Settings


@dataclass(frozen=True)
class SnapshotFile:
    """A data file of a snapshot. size: in bytes.

    by_iceberg: called with names of columns, reads the file through pyiceberg: rows of it were deleted, or it is no
    Parquet file, or its address is one that storage does not know. It holds the whole file in memory. None: the file
    holds rows of the snapshot and no others.
    """

    uri: str
    size: int
    by_iceberg: Callable[[Sequence[str]], Iterator[pa.RecordBatch]] | None = None


@dataclass(frozen=True)
class Plan:
    """The files of one snapshot that may hold rows asked for, in order of URI.

    condition: what a row must meet to be one of them; None: all are. mentions: the columns that the condition needs.
    """

    files: tuple[SnapshotFile, ...] = ()
    condition: pc.Expression | None = None
    mentions: frozenset[str] = frozenset()


def plan(
    settings: Settings,
    name: str,
    partitions: Sequence[str] | None,
    where: str | BooleanExpression | None,
    snapshot: int | None,
) -> Plan:
    """What to read of features.<name>; each argument as `imagefeatures.read.batches` has it.

    A look from outside: makes no table and no SQLite file. A shared table that does not exist yet has no files.
    Raises InputError for a dataset without a table, an unknown snapshot or a wrong condition; and as `open_catalog`.
    """
    with failures.readable(names.table_name(name), settings.catalog):
        return _plan(settings, name, partitions, where, snapshot)


def _plan(
    settings: Settings,
    name: str,
    partitions: Sequence[str] | None,
    where: str | BooleanExpression | None,
    snapshot: int | None,
) -> Plan:
    if not connect.exists(settings.catalog):
        return _without_table(name, [])
    with tables.open_catalog(settings) as catalog:
        try:
            table = catalog.load_table((names.NAMESPACE, name))
        except NoSuchTableError:
            return _without_table(name, _datasets(catalog))
        if snapshot is not None and table.metadata.snapshot_by_id(snapshot) is None:
            raise InputError(f"{names.table_name(name)}: no snapshot {snapshot}; it may have expired")
        rows = _row_filter(name, partitions, where)
        bound = _bound(table, name, rows)
        scan = table.scan(row_filter=rows, snapshot_id=snapshot)
        files = sorted((_file(scan, task) for task in scan.plan_files()), key=lambda file: file.uri)
    if bound == AlwaysTrue():
        return Plan(tuple(files))
    return Plan(tuple(files), expression_to_pyarrow(bound, table.schema()), _mentions(table, bound))


def _without_table(name: str, datasets: Sequence[str]) -> Plan:
    if name in schemas.TABLES:
        return Plan()
    there = f"there are: {', '.join(datasets)}" if datasets else "nothing is published yet"
    raise InputError(f"{names.table_name(name)}: no such dataset is published; {there}")


def _datasets(catalog: Catalog) -> list[str]:
    return sorted({table[-1] for table in catalog.list_tables(names.NAMESPACE)} - set(schemas.TABLES))


def _row_filter(
    name: str, partitions: Sequence[str] | None, where: str | BooleanExpression | None
) -> BooleanExpression:
    rows: BooleanExpression = AlwaysTrue() if partitions is None else one_of("partition_key", partitions)
    if where is None:
        return rows
    try:
        return And(rows, parser.parse(where) if isinstance(where, str) else where)
    except ParseException as error:
        raise InputError(f"{names.table_name(name)}: where is not a condition: {error}") from None


def _bound(table: Table, name: str, rows: BooleanExpression) -> BooleanExpression:
    """The condition in the types of the table's columns."""
    try:
        bound = bind(table.schema(), rows, case_sensitive=True)
    except (ValueError, TypeError) as error:  # no such column; or a value that it cannot be compared with
        raise InputError(f"{names.table_name(name)}: where does not fit the table: {error}") from None
    if unknown := _mentions(table, bound) - set(schemas.TABLES.get(name, schemas.FEATURES).names):
        raise InputError(f"{names.table_name(name)}: where speaks of {', '.join(sorted(unknown))}, which is not read")
    return bound


def _mentions(table: Table, bound: BooleanExpression) -> frozenset[str]:
    return frozenset(str(table.schema().find_column_name(field)) for field in extract_field_ids(bound))


def _file(scan: DataScan, task: FileScanTask) -> SnapshotFile:
    file = task.file
    plain = not task.delete_files and file.file_format == FileFormat.PARQUET
    # Spark's HadoopFileIO writes file:/…, with one slash.
    ours = plain and file.file_path.startswith(("file://", "s3://"))
    return SnapshotFile(file.file_path, file.file_size_in_bytes, None if ours else partial(_by_iceberg, scan, task))


def _by_iceberg(scan: DataScan, task: FileScanTask, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    schema = scan.projection()
    # One column that is always there: without any, pyiceberg would lose count of the rows.
    known = {"partition_key", *columns} & set(schema.column_names)
    return ArrowScan(scan.table_metadata, scan.io, schema.select(*known), AlwaysTrue()).to_record_batches([task])
