"""What is to be read of a table: which files, and which of them only pyiceberg can read."""

from __future__ import annotations

from pathlib import Path

import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from imagefeatures import read
from imagefeatures.catalog import snapshots, tables
from imagefeatures.errors import InputError
from imagefeatures.settings import Settings
from support.publishing import DAY, delete_rows, features_file
from support.reading import photos_table


@pytest.fixture
def photos(settings: Settings, tmp_path: Path) -> Table:
    """features.photos with one file of three rows."""
    table = photos_table(settings)
    tables.replace_files(table, DAY, [features_file(tmp_path, "first")], "first")
    return table


def the_file(settings: Settings) -> snapshots.SnapshotFile:
    (file,) = snapshots.plan(settings, "photos", {}).files
    return file


def test_a_file_with_deleted_rows_is_read_by_pyiceberg_in_the_columns_that_are_asked_for(
    settings: Settings, photos: Table
) -> None:
    assert the_file(settings).by_iceberg is None
    delete_rows(photos, the_file(settings).uri, [1])
    by_iceberg = the_file(settings).by_iceberg
    assert by_iceberg is not None
    (batch,) = by_iceberg(["uri"])
    assert sorted(batch.schema.names) == ["partition_key", "uri"]
    assert batch["uri"].to_pylist() == ["s3://b/0", "s3://b/2"]
    (batch,) = by_iceberg(["a column of a later version"])
    assert (batch.num_rows, batch.schema.names) == (2, ["partition_key"])  # so the rows are counted


def test_a_file_that_is_no_parquet_file_is_left_to_pyiceberg(settings: Settings, photos: Table, tmp_path: Path) -> None:
    written = pq.read_table(the_file(settings).uri.removeprefix("file://"))
    path = tmp_path / "first.orc"
    pyarrow.orc.write_table(written, path)
    tables.replace_files(photos, DAY, [], "none")
    orc = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=f"file://{path}",
        file_format=FileFormat.ORC,
        partition=Record(DAY),
        record_count=3,
        file_size_in_bytes=path.stat().st_size,
    )
    orc.spec_id = photos.spec().spec_id
    with photos.transaction() as change, change.update_snapshot().fast_append() as snapshot:
        snapshot.append_data_file(orc)
    assert the_file(settings).by_iceberg is not None
    with pytest.raises(InputError, match=f"^file://{path}: rows of it were deleted, or it is no plain Parquet file"):
        read.files(settings, "photos")
