"""What is to be read of a table, settled once: the files of one snapshot, and which of their rows are asked for."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Literal, TypedDict

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, Or, parser
from pyiceberg.expressions.visitors import bind, extract_field_ids
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import ArrowScan, expression_to_pyarrow
from pyiceberg.manifest import FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import DataScan, FileScanTask, Table
from pyiceberg.table.metadata import TableMetadata
from pyparsing import ParseException

from imagefeatures import names, schemas
from imagefeatures.catalog import connect, failures, guards, pixel_tables, tables, tags
from imagefeatures.catalog.file_io import plain_uri
from imagefeatures.catalog.filters import as_in_sql, at_least, below, equal, is_null, of_copy, one_of
from imagefeatures.errors import InputError
from imagefeatures.reasons import printable
from imagefeatures.settings import Settings
from imagefeatures.wording import several, texts

DEFAULT_TEST_SHARE = 0.2


class Selection(TypedDict, total=False):
    """Which rows of which snapshot: keyword arguments of `imagefeatures.read`. None is as if it were left out.

    partitions: rows of these partition keys alone; a key that was never published has none.
    labels: rows with one of these labels alone; None among them stands for rows without a label.
    where: a condition on the columns, "label = 'apple' and width > 100", or an expression of pyiceberg's.
    snapshot: the id of an earlier snapshot; by default the current one.
    run_id: the table as this run left it, with the rows of all other runs that it held then.
    fingerprint: rows whose vectors were computed in this way alone.
    split: "train" or "test": which side of a split by the images' bytes; equal bytes are always on the same side.
    test_share: which part of all images is for testing, by default 0.2.
    copies: False leaves out augmented copies of pictures; by default they are rows like the others.
    """

    partitions: Sequence[str] | None
    labels: Sequence[str | None] | None
    where: str | BooleanExpression | None
    snapshot: int | None
    run_id: str | None
    fingerprint: str | None
    split: Literal["train", "test"] | None
    test_share: float | None
    copies: bool | None


@dataclass(frozen=True)
class SnapshotFile:
    """A data file of a snapshot. size: in bytes.

    by_iceberg: called with names of columns, reads the file through pyiceberg: rows of it were deleted, or it is no
    Parquet file. It holds the whole file in memory. None: the file holds rows of the snapshot and no others.
    """

    uri: str
    size: int
    by_iceberg: Callable[[Sequence[str]], Iterator[pa.RecordBatch]] | None = None


@dataclass(frozen=True)
class Plan:
    """The files of one snapshot that may hold rows asked for, in order of URI.

    snapshot: its id; None where nothing was ever published.
    condition: what a row must meet to be one of them; None: all are. mentions: the columns that the condition needs.
    schema: the columns of the table, as this version has them.
    """

    files: tuple[SnapshotFile, ...] = ()
    snapshot: int | None = None
    condition: pc.Expression | None = None
    mentions: frozenset[str] = frozenset()
    schema: pa.Schema = schemas.FEATURES


def plan(settings: Settings, name: str, selection: Selection) -> Plan:
    """What to read of features.<name>.

    A look from outside: makes no table and no SQLite file. A shared table that does not exist yet has no files.
    Raises InputError for a dataset without a table, an unknown snapshot or run, or a wrong condition; and as
    `open_catalog`. TypeError for an argument that does not exist.
    """
    if unknown := sorted(selection.keys() - Selection.__annotations__.keys()):
        raise TypeError(f"no argument {unknown[0]!r}; there are {', '.join(Selection.__annotations__)}")
    rows = _row_filter(name, selection)
    if (copies := selection.get("copies")) not in (None, True, False):
        raise InputError(f"{names.table_name(name)}: copies is {printable(repr(copies))}; it may be True or False")
    with failures.readable(names.table_name(name), settings.catalog):
        return _plan(settings, name, selection, rows)


def current(settings: Settings, name: str) -> int | None:
    """The id of the current snapshot of a table that all datasets share; None where nothing was ever published.

    No data file and no manifest is read. Makes nothing, and raises, as `plan`.
    """
    with failures.readable(names.table_name(name), settings.catalog):
        if not connect.exists(settings.catalog):
            return None
        with tables.open_catalog(settings) as catalog:
            try:
                table = catalog.load_table((names.NAMESPACE, name))
            except NoSuchTableError:
                return None
            guards.refuse_datasets(table)
            return table.metadata.current_snapshot_id


def _plan(settings: Settings, name: str, selection: Selection, rows: BooleanExpression) -> Plan:
    if not connect.exists(settings.catalog):
        return _without_table(name, [])
    with tables.open_catalog(settings) as catalog:
        try:
            table = catalog.load_table((names.NAMESPACE, name))
        except NoSuchTableError:
            return _without_table(name, _datasets(catalog))
        guards.refuse_datasets(table)
        snapshot = _snapshot(table, name, selection)
        # Not `is False`: 0 and a truth value of NumPy's are False too.
        if (copies := selection.get("copies")) is not None and not copies and "copy" in table.schema().column_names:
            rows = And(rows, of_copy(0))
        bound, condition = _bound(table, name, rows)
        schema = pixel_tables.schema(table)
        scan = table.scan(row_filter=rows, snapshot_id=snapshot)
        files = tuple(sorted((_file(scan, task) for task in scan.plan_files()), key=lambda file: file.uri))
    if bound == AlwaysTrue():
        return Plan(files, snapshot, schema=schema)
    return Plan(files, snapshot, condition, _mentions(table, bound), schema)


def _snapshot(table: Table, name: str, selection: Selection) -> int | None:
    """The id of the snapshot that is asked for; None where nothing was ever published."""
    snapshot, run_id = selection.get("snapshot"), selection.get("run_id")
    if snapshot is not None and run_id is not None:
        raise InputError(f"{names.table_name(name)}: give a snapshot or a run_id, not both")
    if run_id is not None:
        left = [found for found in table.snapshots() if found.summary and found.summary[tags.SIGNATURE] == run_id]
        if not left:
            raise InputError(
                f"{names.table_name(name)}: no snapshot of run {printable(run_id)}; it published nothing here, or "
                "what it left has expired"
            )
        # A swap leaves two, the whole one last.
        return max(left, key=lambda found: found.sequence_number or 0).snapshot_id
    if snapshot is not None and table.metadata.snapshot_by_id(snapshot) is None:
        raise InputError(f"{names.table_name(name)}: no snapshot {snapshot}; it may have expired")
    return table.metadata.current_snapshot_id if snapshot is None else snapshot


def _without_table(name: str, there: Sequence[str]) -> Plan:
    """What is to be read of a table that does not exist. there: the tables of datasets that do."""
    if name in schemas.TABLES:
        return Plan(schema=schemas.of_table(name))
    if names.is_pixels_table(name):
        raise InputError(
            f"{names.table_name(name)}: no pixels are published; `pixels: keep` in the dataset file publishes those of "
            "the next run"
        )
    if names.pixels_table(name) in there:
        raise InputError(f'{names.table_name(name)}: has pixels alone, no vectors; read them with what="pixels"')
    datasets = [table for table in there if not names.is_pixels_table(table)]
    known = f"there are: {', '.join(datasets)}" if datasets else "nothing is published yet"
    if near := difflib.get_close_matches(name, datasets, 1):
        known += f" (did you mean {near[0]}?)"
    raise InputError(f"{names.table_name(name)}: no such dataset is published; {known}")


def _datasets(catalog: Catalog) -> list[str]:
    return sorted({table[-1] for table in catalog.list_tables(names.NAMESPACE)} - set(schemas.TABLES))


def _row_filter(name: str, selection: Selection) -> BooleanExpression:
    rows: BooleanExpression = AlwaysTrue()
    table = names.table_name(name)
    if (partitions := selection.get("partitions")) is not None:
        rows = one_of("partition_key", texts(table, "partitions", partitions))
    if (labels := selection.get("labels")) is not None:
        labels = several(table, "labels", labels)
        labelled = one_of("label", texts(table, "labels", [label for label in labels if label is not None]))
        rows = And(rows, Or(labelled, is_null("label")) if None in labels else labelled)
    if (fingerprint := selection.get("fingerprint")) is not None:
        rows = And(rows, equal("fingerprint", fingerprint))
    if side := _side(name, selection):
        rows = And(rows, side)
    if (where := selection.get("where")) is not None:
        rows = And(rows, _condition(table, where))
    return as_in_sql(rows)


def _condition(table: str, where: object) -> BooleanExpression:
    """What `where` says."""
    if isinstance(where, BooleanExpression):
        return where
    if not isinstance(where, str):
        raise InputError(
            f"{table}: where is {printable(repr(where))}; it must be a text, or an expression of pyiceberg's"
        )
    try:
        return parser.parse(where)
    except (ParseException, ValueError, NotImplementedError, RecursionError) as error:
        raise InputError(f"{table}: where is not a condition: {failures.line(error)}") from None


def _side(name: str, selection: Selection) -> BooleanExpression | None:
    """The rows of one side of the split; None where all are asked for.

    An image_id is a SHA-256 in hexadecimal: evenly distributed, and in the order of texts what it is as a number.
    """
    split, share = selection.get("split"), selection.get("test_share")
    if split is None and share is None:
        return None
    if split not in ("train", "test"):
        raise InputError(f'{names.table_name(name)}: split is {split!r}; it may be "train" or "test"')
    share = DEFAULT_TEST_SHARE if share is None else share
    if not isinstance(share, Real) or not 0 < share < 1:
        raise InputError(f"{names.table_name(name)}: test_share is {share!r}; it must be between 0 and 1")
    bound = f"{int(share * 2**64):016x}"
    return below("image_id", bound) if split == "test" else at_least("image_id", bound)


def _bound(table: Table, name: str, rows: BooleanExpression) -> tuple[BooleanExpression, pc.Expression]:
    """The condition in the types of the table's columns, also as pyarrow has it."""
    try:
        bound = bind(table.schema(), rows, case_sensitive=True)
        condition = expression_to_pyarrow(bound, table.schema())
    except UnicodeEncodeError as error:
        raise InputError(
            f"{names.table_name(name)}: a value of the condition is not UTF-8: {failures.line(error)}"
        ) from None
    except (ValueError, TypeError, NotImplementedError) as error:
        # No such column; a value that it cannot be compared with.
        raise InputError(f"{names.table_name(name)}: where does not fit the table: {failures.line(error)}") from None
    if unknown := _mentions(table, bound) - set(schemas.columns_of(name)):
        raise InputError(f"{names.table_name(name)}: where speaks of {', '.join(sorted(unknown))}, which is not read")
    return bound, condition


def _mentions(table: Table, bound: BooleanExpression) -> frozenset[str]:
    return frozenset(str(table.schema().find_column_name(field)) for field in extract_field_ids(bound))


def _file(scan: DataScan, task: FileScanTask) -> SnapshotFile:
    file = task.file
    ours = not task.delete_files and file.file_format == FileFormat.PARQUET
    return SnapshotFile(plain_uri(file.file_path), file.file_size_in_bytes, None if ours else _by_iceberg(scan, task))


def _by_iceberg(scan: DataScan, task: FileScanTask) -> Callable[[Sequence[str]], Iterator[pa.RecordBatch]]:
    """For `SnapshotFile`. It can be pickled, for worker processes; the scan cannot, it holds the catalog."""
    return partial(_read_by_iceberg, scan.table_metadata, scan.io, scan.projection(), task)


def _read_by_iceberg(
    metadata: TableMetadata, io: FileIO, schema: Schema, task: FileScanTask, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    # One column that is always there: without any, pyiceberg would lose count of the rows.
    known = {"partition_key", *columns} & set(schema.column_names)
    return ArrowScan(metadata, io, schema.select(*known), AlwaysTrue()).to_record_batches([task])
