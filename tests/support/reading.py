"""The table features.photos with files in it, and its rows as pyiceberg reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.table import Table

from imagefeatures import schemas
from imagefeatures.catalog import tables
from imagefeatures.settings import Settings
from support.publishing import DAY, features_file

NEXT_DAY = "2026-11-03"
Publish = Callable[..., list[str]]


def photos_table(settings: Settings) -> Table:
    """The empty table features.photos."""
    return tables.open_table(tables.open_catalog(settings), settings, "photos")


def publisher(table: Table, folder: Path) -> Publish:
    """publish(run_id, rows, …, partition=…): a file for each count of rows takes the partition's place."""

    def publish(run_id: str, *rows: int, partition: str = DAY, label: str = "red") -> list[str]:
        files = sorted(features_file(folder, run_id, partition, count, label) for count in rows)
        tables.replace_files(table, partition, files, run_id)
        return files

    return publish


def counts(rows: pa.Table, column: str) -> dict[str, int]:
    return {value["values"]: value["counts"] for value in rows[column].value_counts().to_pylist()}


def by_iceberg(table: Table, snapshot: int | None = None) -> pa.Table:
    """Every row as pyiceberg's own scan reads it, in the types of this version. A newer column is null."""
    schema = schemas.TABLES.get(table.name()[-1], schemas.FEATURES)
    rows = table.scan(snapshot_id=snapshot).to_arrow()
    for newer in [field for field in schema if field.nullable and field.name not in rows.column_names]:
        rows = rows.append_column(newer, pa.nulls(rows.num_rows, newer.type))
    return rows.select(schema.names).cast(schema)


def in_order(rows: pa.Table) -> list[dict[str, Any]]:
    return sorted(rows.to_pylist(), key=lambda row: (row["partition_key"], row.get("uri")))
