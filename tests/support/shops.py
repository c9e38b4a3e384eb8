"""A table of the lake's catalog that is somebody else's: shop.products, which lies outside the lake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from imagefeatures.settings import Settings
from imagefeatures.sources import IcebergTable

NAME = "shop.products"
GIVEN = {"kind": "url_table", "iceberg": NAME, "url": "photo", "key": "id"}
"""A source of a dataset file that names it."""


def table_of(**fields: Any) -> IcebergTable:
    """The table as a source. fields: of the source, besides or instead of GIVEN."""
    return IcebergTable.model_validate(GIVEN | fields)


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Rows of the table, on two days by turns."""
    return [
        {"id": number, "photo": f"file:///{number}.jpg", "day": f"2026-11-0{1 + number % 2}", "noise": "x" * 50}
        for number in range(first, first + count)
    ]


def catalog_of(settings: Settings, folder: Path) -> Catalog:
    """The catalog of the settings as another program has it. folder: its warehouse."""
    return load_catalog("imagefeatures", type="sql", uri=settings.catalog, warehouse=f"file://{folder}")


def products(settings: Settings, folder: Path, rows: pa.Table | list[dict[str, Any]], **properties: str) -> Table:
    """Make the table, and append the rows."""
    rows = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    catalog = catalog_of(settings, folder)
    catalog.create_namespace_if_not_exists("shop")
    table = catalog.create_table(NAME, rows.schema, properties=properties)
    table.append(rows)
    return table


def delete_rows(table: Table, positions: list[int]) -> None:
    """Delete rows of the first data file by a file of positions, as Spark does with merge-on-read."""
    (first, *_) = sorted(task.file.file_path for task in table.scan().plan_files())
    schema = pa.schema(
        [
            pa.field("file_path", pa.string(), False, {"PARQUET:field_id": "2147483546"}),
            pa.field("pos", pa.int64(), False, {"PARQUET:field_id": "2147483545"}),
        ]
    )
    path = Path(f"{first.removeprefix('file://')}.deletes.parquet")
    pq.write_table(pa.table([[first] * len(positions), positions], schema=schema), path)
    file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES, file_path=f"file://{path}", file_format=FileFormat.PARQUET,
        partition=Record(), record_count=len(positions), file_size_in_bytes=path.stat().st_size,
        column_sizes={}, value_counts={}, null_value_counts={}, nan_value_counts={}, lower_bounds={}, upper_bounds={},
    )  # fmt: skip
    file.spec_id = table.metadata.default_spec_id
    with table.transaction() as change, change.update_snapshot().fast_append() as append:
        append.append_data_file(file)
