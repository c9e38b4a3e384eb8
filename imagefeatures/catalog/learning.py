"""The tables of the namespace `learning`: opened, and replaced row by row or whole, in one commit each."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Sequence
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression
from pyiceberg.table import Table

from imagefeatures import layout, names, storage
from imagefeatures.catalog import attempts, connect, failures, retention, tables
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.catalog.file_io import plain_uri
from imagefeatures.catalog.filters import equal
from imagefeatures.catalog.transactions import Changes
from imagefeatures.settings import Settings

PLANNED = "imagefeatures.planned-at"
"""In a snapshot's summary: when the classifier was planned whose predictions it holds."""


@in_one_line
def open_table(catalog: Catalog, settings: Settings, name: str, schema: pa.Schema) -> Table:
    """The table learning.<name>, created when it does not exist, and extended by columns that it lacks."""
    with contextlib.suppress(NamespaceAlreadyExistsError):
        catalog.create_namespace(names.LEARNING)
    identifier = (names.LEARNING, name)
    with contextlib.suppress(TableAlreadyExistsError, CommitFailedException):
        if not catalog.table_exists(identifier):
            catalog.create_table(
                identifier,
                schema=schema,
                location=layout.table_folder(settings.lake, name, names.LEARNING),
                properties=tables.TABLE_PROPERTIES | retention.properties(settings.retention, {}),
            )
    table = catalog.load_table(identifier)

    def extend() -> Table:
        table.refresh()
        if set(schema.names) - set(table.schema().column_names):
            with table.update_schema() as update:
                update.union_by_name(schema)
        if missing := retention.properties(settings.retention, table.properties):
            with Changes(table) as change:
                change.set_properties(missing)
        return table

    return attempts.until_committed(extend)


@in_one_line
def replace_row(table: Table, row: pa.Table, dataset: str, model_id: str) -> None:
    """Make the row the only one of the classifier, in one commit. Other rows stay."""
    where = And(equal("dataset", dataset), equal("model_id", model_id))

    def swap() -> None:
        table.refresh()
        standing = table.scan(row_filter=where, selected_fields=("model_id",)).to_arrow().num_rows
        with Changes(table) as change:
            if standing:
                change.delete(where)
            change.append(row)
            retention.expire(table, change)

    attempts.until_committed(swap)


@in_one_line
def replace_all(table: Table, files: Sequence[str], planned_at: str) -> bool:
    """Make `files` the table's only files, in one commit. Returns False when they already are.

    planned_at: of their classifier, in ISO 8601 and UTC. Files of one that was planned later stay: returns False.
    """

    def swap() -> bool:
        table.refresh()
        current = {plain_uri(task.file.file_path) for task in table.scan().plan_files()}
        snapshot = table.current_snapshot()
        standing = (snapshot.summary[PLANNED] if snapshot and snapshot.summary else None) or ""
        if current == set(files) or standing > planned_at:
            return False
        with Changes(table) as change:
            summary = {PLANNED: planned_at}
            if current:
                change.delete(AlwaysTrue(), snapshot_properties=summary)
            if files:
                change.add_files(list(files), snapshot_properties=summary)
            retention.expire(table, change)
        return True

    return attempts.until_committed(swap)


@in_one_line
def remove_others(table: Table, beginning: str, files: Container[str]) -> None:
    """Delete the data files whose URIs begin so and that are not among `files`: of attempts that were killed."""
    folder, _, name = beginning.rpartition("/")
    for found in storage.names(folder):
        if found.startswith(name) and (uri := f"{folder}/{found}") not in files:
            table.io.delete(uri)


def read(settings: Settings, name: str, schema: pa.Schema, where: dict[str, Any]) -> pa.Table:
    """The rows of learning.<name> whose columns equal the values. Makes no table; one that is not there has no rows.

    Raises CatalogRefused, CatalogError or StoreError.
    """
    what = f"{names.LEARNING}.{name}"
    with failures.readable(what, settings.catalog):
        if not connect.exists(settings.catalog):
            return schema.empty_table()
        with tables.open_catalog(settings) as catalog:
            try:
                table = catalog.load_table((names.LEARNING, name))
            except (NoSuchTableError, NoSuchNamespaceError):
                return schema.empty_table()
            condition: BooleanExpression = AlwaysTrue()
            for column, value in where.items():
                condition = And(condition, equal(column, value))
            rows = table.scan(row_filter=condition).to_arrow()
    return rows.select([name for name in schema.names if name in rows.column_names])
