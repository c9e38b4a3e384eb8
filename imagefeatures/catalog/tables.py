"""The Iceberg tables: opens them, and replaces one partition in one commit.

The commit that replaces rows also expires old snapshots: see `imagefeatures.catalog.retention`.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.expressions import And, BooleanExpression, Not
from pyiceberg.table import Table

from imagefeatures import layout, names, schemas
from imagefeatures.catalog import connect, guards, loading, pixel_tables, retention, tags
from imagefeatures.catalog.attempts import unless_made_meanwhile, until_committed
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.catalog.file_io import plain_uri
from imagefeatures.catalog.filters import equal
from imagefeatures.catalog.transactions import Changes
from imagefeatures.columns import rows_of_run
from imagefeatures.pixels import PixelFormat
from imagefeatures.settings import Settings

# A commit that finds the table changed must fail, and not be retried by the library: its retry would append our rows
# beside the other run's. `until_committed` reads the table again first.
TABLE_PROPERTIES = {"commit.retry.num-retries": "0", guards.VERSION: str(schemas.VERSION)}

ONE_ROW_FILES = (names.RUNS, names.WITHDRAWALS, names.FORGOTTEN)
"""Tables that get a file with one row for each publication or withdrawal."""

SMALL_FILES = 32
"""So many of these files are made into one."""

_log = logging.getLogger(__name__)


def open_catalog(settings: Settings) -> Catalog:
    """Connect to the catalog; an empty one gets its tables and namespace. Safe when two runs do so at once.

    Raises SettingsError (the setting does not name a catalog), CatalogRefused (wrong password, no such database, no
    permission) or CatalogError (no answer in time), each with a message of one line.
    """
    with connect.readable_errors(settings.catalog):
        catalog = unless_made_meanwhile(lambda: loading.load_catalog(settings))
        with contextlib.suppress(NamespaceAlreadyExistsError):
            unless_made_meanwhile(lambda: catalog.create_namespace(names.NAMESPACE))
    return catalog


@in_one_line
def open_table(catalog: Catalog, settings: Settings, name: str, kind: PixelFormat | None = None) -> Table:
    """The table features.<name>, created when it does not exist, and extended by what it lacks.

    It may lack columns, and properties that bound its growth. Safe when two runs create or extend it at once. Raises
    CatalogRefused where a dataset's own table has the name of a shared one.
    kind: of the pixels, for a table of pixels that may not exist yet.
    """
    schema = schemas.of_table(name, kind)
    identifier = (names.NAMESPACE, name)
    try:
        table = catalog.load_table(identifier)
        guards.refuse_datasets(table)
        return _up_to_date(table, schema, settings)
    except NoSuchTableError:
        pass
    try:
        creation = catalog.create_table_transaction(
            identifier,
            schema=schema,
            location=layout.table_folder(settings.lake, name),
            properties=TABLE_PROPERTIES
            | retention.properties(settings.retention, {})
            | pixel_tables.properties(name, kind),
        )
        if name not in ONE_ROW_FILES:  # they can only be made into one where they are not partitioned
            with creation.update_spec() as spec:
                spec.add_identity("partition_key")
        creation.commit_transaction()
    except (TableAlreadyExistsError, CommitFailedException):
        pass  # another run was first
    return catalog.load_table(identifier)


@in_one_line
def replace_files(table: Table, partition: str, files: list[str], run_id: str) -> bool:
    """Make `files` the partition's only files, in one commit. Returns False when they already are.

    Readers see the old rows or the new ones. When another run replaces the same partition meanwhile, this one starts
    again from the table as that run left it: the later commit wins.
    """
    where, summary = equal("partition_key", partition), tags.signed(run_id, partition)

    def swap() -> bool:
        table.refresh()
        current = {plain_uri(task.file.file_path) for task in table.scan(row_filter=where).plan_files()}
        if current == set(files):
            return False
        with Changes(table) as change:
            if current:
                change.delete(where, snapshot_properties=summary)
            if files:
                # Else pyiceberg looks for them in every manifest. They are of this partition, which is empty now.
                change.add_files(files, snapshot_properties=summary, check_duplicate_files=False)
            tags.put(table, change, run_id, partition, bool(files))
            retention.expire(table, change)
        return True

    return until_committed(swap)


@in_one_line
def replace_rows(
    table: Table,
    partition: str,
    dataset: str,
    rows: pa.Table,
    run_id: str,
    check: Callable[[dict[str, Any] | None], object] | None = None,
) -> bool:
    """Make `rows` the only rows of (dataset, partition), in one commit. Returns False when they already are.

    check: gets a row that would be replaced, None where there is none, as it is at the moment of the commit. What it
    raises ends the swap.
    """
    where, place = rows_of(partition, dataset), f"{dataset}/{partition}"
    summary = tags.signed(run_id, place)

    def swap() -> bool:
        table.refresh()
        standing = table.scan(row_filter=where, selected_fields=("*",) if check else ("run_id",)).to_arrow()
        if check:
            check(next(iter(standing.to_pylist()), None))
        if standing["run_id"].to_pylist() == [run_id] * rows.num_rows:
            return False
        with Changes(table) as change:
            if has_many_small_files(table):
                change.overwrite(_with_the_others(table, where, rows), snapshot_properties=summary)
            else:
                if standing.num_rows:
                    change.delete(where, snapshot_properties=summary)
                if rows.num_rows:
                    change.append(rows, snapshot_properties=summary)
            tags.put(table, change, run_id, place, bool(rows.num_rows))
            retention.expire(table, change)
        return True

    return until_committed(swap)


@in_one_line
def agree(tables: dict[str, Table], dataset: str, partition: str, empty: bool = False) -> bool:
    """Whether quarantine, runs and the others, of features, hold one run of (dataset, partition), or `empty`."""

    def run_ids(name: str, where: BooleanExpression) -> Counter[str]:
        scan = tables[name].refresh().scan(row_filter=where, selected_fields=("run_id",))
        counts: Counter[str] = Counter()
        for batch in scan.to_arrow_batch_reader():  # a million Python strings would take 80 MB
            for value in pc.value_counts(batch["run_id"]).to_pylist():
                counts[value["values"]] += value["counts"]
        return counts

    rows = tables[names.RUNS].refresh().scan(row_filter=rows_of(partition, dataset)).to_arrow().to_pylist()
    if len(rows) != (0 if empty else 1):
        return False
    (row,) = rows or [{"run_id": None, "quarantined": 0, "registered": 0}]
    quarantined = run_ids(names.QUARANTINE, rows_of(partition, dataset))
    run_id, features = row["run_id"], tables.keys() - {names.QUARANTINE, names.RUNS}
    expected = Counter({run_id: rows_of_run(row)})
    return quarantined == Counter({run_id: row["quarantined"]}) and all(
        run_ids(name, equal("partition_key", partition)) == expected for name in features
    )


def published(catalog: Catalog, settings: Settings, dataset: str, partition: str) -> dict[str, object] | None:
    """The row of features.runs of the run that (dataset, partition) holds now; None when none was published."""
    return row_of_runs(open_table(catalog, settings, names.RUNS), dataset, partition)


@in_one_line
def row_of_runs(runs: Table, dataset: str, partition: str) -> dict[str, object] | None:
    """The same, of features.runs as it is now."""
    rows = runs.refresh().scan(row_filter=rows_of(partition, dataset)).to_arrow().to_pylist()
    return rows[0] if rows else None


@in_one_line
def other_partitions(catalog: Catalog, dataset: str, partition: str) -> list[str]:
    """The other partitions of a dataset that are published, sorted. Creates no table."""
    try:
        runs = catalog.load_table((names.NAMESPACE, names.RUNS))
    except NoSuchTableError:
        return []
    rows = runs.scan(row_filter=equal("dataset", dataset), selected_fields=("partition_key",)).to_arrow()
    return sorted(set(rows["partition_key"].to_pylist()) - {partition})


def remove_expired(catalog: Catalog, settings: Settings, changed: Iterable[str]) -> None:
    """Delete the files of expired snapshots of the tables features.<name> that a publication has changed.

    What is published is published: an error is a warning, and the next publication deletes what is left.
    """
    for name in changed:
        try:
            retention.remove_expired(open_table(catalog, settings, name), settings.lake)
        except Exception as error:
            _log.warning(
                "%s: the files of expired snapshots stay until the next publication (%s)",
                names.table_name(name), type(error).__name__,
            )  # fmt: skip


def _up_to_date(table: Table, schema: pa.Schema, settings: Settings) -> Table:
    """The table, with the columns and the properties that it lacks; features.runs without its partitions."""

    def missing() -> tuple[set[str], dict[str, str], bool]:
        return (
            set(schema.names) - set(table.schema().column_names),
            retention.properties(settings.retention, table.properties),
            table.name()[-1] == names.RUNS and any(one.name == "partition_key" for one in table.spec().fields),
        )

    def extend() -> Table:
        table.refresh()
        columns, properties, partitioned = missing()
        if columns:
            with table.update_schema() as update:
                update.union_by_name(schema)
        if properties:
            with Changes(table) as change:
                change.set_properties(properties)
        if partitioned:
            with table.update_spec() as spec:
                spec.remove_field("partition_key")
        return table

    return until_committed(extend) if any(missing()) else table


def has_many_small_files(table: Table) -> bool:
    snapshot = table.current_snapshot()
    summary = snapshot.summary if snapshot else None
    return table.name()[-1] in ONE_ROW_FILES and int((summary and summary["total-data-files"]) or 0) >= SMALL_FILES


def _with_the_others(table: Table, where: BooleanExpression, rows: pa.Table) -> pa.Table:
    """`rows`, and all rows of the table that do not meet the condition."""
    others = table.scan(row_filter=Not(where)).to_arrow()
    return pa.concat_tables([others, rows], promote_options="permissive")


def rows_of(partition: str, dataset: str) -> BooleanExpression:
    """The rows of one dataset and partition in a table that all datasets share."""
    return And(equal("partition_key", partition), equal("dataset", dataset))
