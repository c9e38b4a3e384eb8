"""The Iceberg tables: opens them, and replaces one partition in one commit."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.expressions import And, BooleanExpression
from pyiceberg.table import Table
from sqlalchemy.exc import DBAPIError, IntegrityError
from tenacity import (
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random,
    wait_random_exponential,
)

from imagefeatures import layout, names, schemas
from imagefeatures.catalog import connect, guards, loading
from imagefeatures.catalog.filters import equal
from imagefeatures.settings import Settings

# A commit that finds the table changed must fail, and not be retried by the library: its retry would append our rows
# beside the other run's. `_until_committed` reads the table again first.
TABLE_PROPERTIES = {"commit.retry.num-retries": "0", guards.VERSION: str(schemas.VERSION)}
DUPLICATE_TABLE = "42P07"
T = TypeVar("T")


def open_catalog(settings: Settings) -> Catalog:
    """Connect to the catalog; an empty one gets its tables and namespace. Safe when two runs do so at once.

    Raises SettingsError (the setting does not name a catalog), CatalogRefused (wrong password, no such database, no
    permission) or CatalogError (no answer in time), each with a message of one line.
    """
    with connect.readable_errors(settings.catalog):
        catalog = _unless_made_meanwhile(lambda: loading.load_catalog(settings))
        with contextlib.suppress(NamespaceAlreadyExistsError):
            _unless_made_meanwhile(lambda: catalog.create_namespace(names.NAMESPACE))
    return catalog


def check_lake(catalog: Catalog) -> None:
    """Raises CatalogRefused when the catalog's tables are another lake's: what is published would be split in two."""
    with contextlib.suppress(NoSuchTableError):
        catalog.load_table((names.NAMESPACE, names.RUNS))  # which every publication has made


def open_table(catalog: Catalog, settings: Settings, name: str) -> Table:
    """The table features.<name>, created when it does not exist, and extended by columns that it lacks.

    Safe when two runs create or extend it at once.
    """
    schema = schemas.TABLES.get(name, schemas.FEATURES)
    identifier = (names.NAMESPACE, name)
    try:
        return _with_all_columns(catalog.load_table(identifier), schema)
    except NoSuchTableError:
        pass
    try:
        creation = catalog.create_table_transaction(
            identifier,
            schema=schema,
            location=layout.table_folder(settings.lake, name),
            properties=TABLE_PROPERTIES,
        )
        with creation.update_spec() as spec:
            spec.add_identity("partition_key")
        creation.commit_transaction()
    except (TableAlreadyExistsError, CommitFailedException):
        pass  # another run was first
    return catalog.load_table(identifier)


def replace_files(table: Table, partition: str, files: list[str], run_id: str) -> bool:
    """Make `files` the partition's only files, in one commit. Returns False when they already are.

    Readers see the old rows or the new ones. When another run replaces the same partition meanwhile, this one starts
    again from the table as that run left it: the later commit wins.
    """
    where = equal("partition_key", partition)

    def swap() -> bool:
        table.refresh()
        current = {task.file.file_path for task in table.scan(row_filter=where).plan_files()}
        if current == set(files):
            return False
        with table.transaction() as change:
            if current:
                change.delete(where, snapshot_properties=_signed(run_id))
            if files:
                change.add_files(files, snapshot_properties=_signed(run_id))
        return True

    return _until_committed(swap)


def replace_rows(table: Table, partition: str, dataset: str, rows: pa.Table, run_id: str) -> bool:
    """Make `rows` the only rows of (dataset, partition), in one commit. Returns False when they already are."""
    where = _of(partition, dataset)

    def swap() -> bool:
        table.refresh()
        current = table.scan(row_filter=where, selected_fields=("run_id",)).to_arrow()["run_id"].to_pylist()
        if current == [run_id] * rows.num_rows:
            return False
        with table.transaction() as change:
            if current:
                change.delete(where, snapshot_properties=_signed(run_id))
            if rows.num_rows:
                change.append(rows, snapshot_properties=_signed(run_id))
        return True

    return _until_committed(swap)


def agree(tables: dict[str, Table], dataset: str, partition: str) -> bool:
    """Whether quarantine, features and runs hold one and the same run of (dataset, partition)."""

    def run_ids(name: str, where: BooleanExpression) -> Counter[str]:
        scan = tables[name].refresh().scan(row_filter=where, selected_fields=("run_id",))
        counts: Counter[str] = Counter()
        for batch in scan.to_arrow_batch_reader():  # a million Python strings would take 80 MB
            for value in pc.value_counts(batch["run_id"]).to_pylist():
                counts[value["values"]] += value["counts"]
        return counts

    rows = tables[names.RUNS].refresh().scan(row_filter=_of(partition, dataset)).to_arrow().to_pylist()
    if len(rows) != 1:
        return False
    (row,) = rows
    quarantined = run_ids(names.QUARANTINE, _of(partition, dataset))
    registered = run_ids(dataset, equal("partition_key", partition))
    run_id = row["run_id"]
    return quarantined == Counter({run_id: row["quarantined"]}) and registered == Counter({run_id: row["registered"]})


def published(catalog: Catalog, settings: Settings, dataset: str, partition: str) -> dict[str, object] | None:
    """The row of features.runs of the run that (dataset, partition) holds now; None when none was published."""
    runs = open_table(catalog, settings, names.RUNS)
    rows = runs.scan(row_filter=_of(partition, dataset)).to_arrow().to_pylist()
    return rows[0] if rows else None


def files_with(catalog: Catalog, dataset: str, fingerprint: str) -> list[tuple[str, int]]:
    """The data files of features.<dataset> that may hold rows of this fingerprint: (URI, bytes), sorted.

    Creates no table. A file with single deleted rows is left out.
    """
    try:
        table = catalog.load_table((names.NAMESPACE, dataset))
    except NoSuchTableError:
        return []
    tasks = table.scan(row_filter=equal("fingerprint", fingerprint)).plan_files()
    return sorted((task.file.file_path, task.file.file_size_in_bytes) for task in tasks if not task.delete_files)


def _with_all_columns(table: Table, schema: pa.Schema) -> Table:
    """The table, extended by the columns of the schema that it lacks."""

    def extend() -> Table:
        table.refresh()
        if set(schema.names) - set(table.schema().column_names):
            with table.update_schema() as update:
                update.union_by_name(schema)
        return table

    missing = set(schema.names) - set(table.schema().column_names)
    return _until_committed(extend) if missing else table


def _of(partition: str, dataset: str) -> BooleanExpression:
    return And(equal("partition_key", partition), equal("dataset", dataset))


def _signed(run_id: str) -> dict[str, str]:
    return {"imagefeatures.run-id": run_id}


def _unless_made_meanwhile(make: Callable[[], T]) -> T:
    """Repeat a creation that failed because another run created the same catalog table or row at the same moment.

    "CREATE TABLE IF NOT EXISTS" would not help: in PostgreSQL it fails when two sessions run it at once.
    """

    def made_meanwhile(error: BaseException) -> bool:
        if isinstance(error, IntegrityError):  # the row; or PostgreSQL's own row for a table or its type
            return True
        original = isinstance(error, DBAPIError) and error.orig
        return getattr(original, "sqlstate", None) == DUPLICATE_TABLE or "already exists" in str(original)

    attempts = Retrying(
        retry=retry_if_exception(made_meanwhile), wait=wait_random(0, 0.2), stop=stop_after_attempt(10), reraise=True
    )
    return attempts(make)


def _until_committed(swap: Callable[[], T]) -> T:
    """Repeat a swap whose commit lost a race. Each attempt reads the table again."""
    attempts = Retrying(
        retry=retry_if_exception_type((CommitFailedException, ValidationException)),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        stop=stop_after_attempt(20),
        reraise=True,
    )
    return attempts(swap)
