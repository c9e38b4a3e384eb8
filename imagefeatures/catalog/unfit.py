"""Whether a table still takes the rows and the files of runs, whatever another program has made of it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable

import pyarrow as pa
from pyiceberg.io.pyarrow import _check_pyarrow_schema_compatible, parquet_file_to_data_file
from pyiceberg.table import Table

from imagefeatures import names
from imagefeatures.catalog import guards
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.errors import CatalogRefused


@in_one_line
def refuse(table: Table, rows: pa.Schema | None = None, files: Iterable[str] = ()) -> None:
    """Raise CatalogRefused where a commit of such rows would fail, since another program has changed the table.

    To be asked of all tables of a publication before the first one is changed. rows: None for any. files: the URIs of
    those in which the rows come.
    """
    guards.refuse_unwritable(table)
    refuse_finer_partitions(table, files)
    with contextlib.redirect_stdout(io.StringIO()):  # where pyiceberg prints all columns that differ, and all others
        unlike = [field.name for field in rows or () if not _takes(table, field)]
    if unlike:
        raise CatalogRefused(
            f"{'.'.join(table.name())}: another program has changed the type of {', '.join(unlike)}; let that program "
            "rename such a column, and it is made anew"
        )


def _takes(table: Table, field: pa.Field) -> bool:
    try:
        _check_pyarrow_schema_compatible(table.schema().select(field.name), pa.schema([field]))
    except ValueError:
        return False
    return True


@in_one_line
def refuse_finer_partitions(table: Table, files: Iterable[str]) -> None:
    """Raise CatalogRefused where another program has partitioned the table by more, and a file does not fit into that.

    Iceberg takes no file that has rows of two partitions. files: their URIs; read where there are more partitions.
    """
    finer = [field.name for field in table.spec().fields if field.name != "partition_key"]
    try:
        for uri in files if finer else ():
            parquet_file_to_data_file(table.io, table.metadata, uri)
    except ValueError as error:
        if "infer partition value" not in str(error):
            raise
        name = ".".join(table.name())
        raise CatalogRefused(
            f"{name}: another program has partitioned it by {', '.join(finer)} too, which the files of runs are not; "
            f"let that program drop this: ALTER TABLE {names.CATALOG}.{name} DROP PARTITION FIELD {finer[0]}"
        ) from None
