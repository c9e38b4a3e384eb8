"""What a partition holds: its row of features.runs, its quarantined objects and its data files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import FileScanTask, Table

from imagefeatures import names, read, schemas
from imagefeatures.catalog import failures
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.catalog.file_io import plain_uri
from imagefeatures.catalog.filters import equal
from imagefeatures.catalog.tables import open_table, row_of_runs, rows_of
from imagefeatures.columns import rows_of_run
from imagefeatures.errors import CatalogError
from imagefeatures.settings import Settings


@dataclass(frozen=True)
class Standing:
    """row: of features.runs. quarantine: schemas.QUARANTINE. files: (URI, bytes) of each data file by table, sorted."""

    row: dict[str, Any]
    quarantine: pa.Table
    files: dict[str, list[tuple[str, int]]]


@in_one_line
def standing(catalog: Catalog, settings: Settings, dataset: str, partition: str) -> Standing | None:
    """What the tables hold of a published partition; None when nothing is published.

    Raises CatalogError where they do not hold one and the same run, as while another run is being published.
    """
    row = row_of_runs(open_table(catalog, settings, names.RUNS), dataset, partition)
    if row is None:
        return None
    shared = open_table(catalog, settings, names.QUARANTINE).scan(row_filter=rows_of(partition, dataset)).to_arrow()
    quarantine = shared.select(schemas.QUARANTINE.names).cast(schemas.QUARANTINE)
    files: dict[str, list[tuple[str, int]]] = {}
    whole = {row["run_id"]}.issuperset(quarantine["run_id"].to_pylist()) and quarantine.num_rows == row["quarantined"]
    for table in names.tables_of_run(row):
        tasks = _planned(open_table(catalog, settings, table), partition)
        counted = sum(task.file.record_count for task in tasks)
        whole = whole and counted == rows_of_run(row) and not any(task.delete_files for task in tasks)
        files[table] = _named(tasks)
    if not whole:
        raise CatalogError(
            f"{names.table_name(dataset)} {partition}: the tables do not hold what run {row['run_id']} published; try "
            "again if another run is being published, else run the whole partition"
        )
    return Standing(row, quarantine, files)


@in_one_line
def files(table: Table, partition: str) -> list[tuple[str, int]]:
    """(URI, bytes) of each data file of a partition, sorted. Raises CatalogError where single rows were deleted."""
    tasks = _planned(table, partition)
    if any(task.delete_files for task in tasks):
        raise CatalogError(
            f"{'.'.join(table.name())} {partition}: another program has deleted single rows of it; run the whole "
            "partition"
        )
    return _named(tasks)


def rows(table: Table, partition: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a partition in these columns of the table: each by its number, whatever its name is in a file."""
    there = tuple(name for name in schema.names if name in table.schema().column_names)
    scan = table.scan(row_filter=equal("partition_key", partition), selected_fields=there)
    place = ".".join(table.name()), str(table.catalog.properties.get("uri"))
    for batch in failures.each(scan.to_arrow_batch_reader(), *place):
        yield read.with_schema(batch, schema)


def _planned(table: Table, partition: str) -> list[FileScanTask]:
    return list(table.scan(row_filter=equal("partition_key", partition)).plan_files())


def _named(tasks: list[FileScanTask]) -> list[tuple[str, int]]:
    return sorted((plain_uri(task.file.file_path), task.file.file_size_in_bytes) for task in tasks)
