"""A table as Spark leaves it that has rewritten its files: one a partition, with Spark's names, and `file:/` URIs."""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.table import Table

METADATA_PATH = "write.metadata.path"


def as_spark(uri: str) -> str:
    """A local file's URI as Spark's HadoopFileIO writes it, with one slash."""
    return uri.replace("file:///", "file:/")


def compact(table: Table, partition: str) -> str:
    """Rewrite the files of a partition as one, as `rewrite_data_files` does. Returns its path."""
    with table.transaction() as change:
        change.set_properties({METADATA_PATH: as_spark(f"{table.location()}/metadata")})
    where = f"partition_key == '{partition}'"
    tasks = list(table.scan(row_filter=where).plan_files())
    rows = table.scan(row_filter=where).to_arrow()
    folder = Path(table.location().removeprefix("file://")) / "data" / f"partition_key={partition}"
    path = folder / f"00000-7-{uuid.uuid4()}-0-00001.parquet"
    pq.write_table(rows, path)
    with table.transaction() as change, change.update_snapshot().overwrite() as overwrite:
        for task in tasks:
            overwrite.delete_data_file(task.file)
        overwrite.append_data_file(parquet_file_to_data_file(table.io, table.metadata, as_spark(f"file://{path}")))
    with table.transaction() as change:
        change.remove_properties(METADATA_PATH)
    return str(path)
