"""Feature files as featurize would write them, tables as other writers leave them, and processes that race."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestContent, ManifestWriter, ManifestWriterV2
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.typedef import Record

from imagefeatures import schemas
from imagefeatures.catalog import tables
from imagefeatures.settings import Settings

DAY = "2026-11-02"
SPAWN = multiprocessing.get_context("spawn")


def features_file(folder: Path, run_id: str, partition: str = DAY, rows: int = 3, label: str | None = "red") -> str:
    """A features file of a run, as featurize would write it."""
    content = {
        "partition_key": partition, "image_id": "0" * 64, "label": label, "width": 3, "height": 2, "mode": "RGB",
        "size": 9, "etag": None, "model": "mobilenet_v2", "fingerprint": "f", "features": [0.5] * 4, "run_id": run_id,
    }  # fmt: skip
    table = pa.Table.from_pylist([{**content, "uri": f"s3://b/{row}"} for row in range(rows)], schema=schemas.FEATURES)
    path = folder / f"{run_id}-{uuid.uuid4()}.parquet"
    pq.write_table(table, path)
    return f"file://{path}"


def publish_older_run(settings: Settings) -> None:
    """A table features.runs as it was before the column `reused`, with one row."""
    schema = schemas.RUNS.remove(schemas.RUNS.get_field_index("reused"))
    blank = {pa.string(): "x", pa.int64(): 7, pa.float64(): 0.5}
    row = {f.name: blank.get(f.type, [] if pa.types.is_nested(f.type) else 0) for f in schema}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(schemas.TABLES, "runs", schema)
        rows = pa.Table.from_pylist([row | {"dataset": "old"}], schema=schema)
        table = tables.open_table(tables.open_catalog(settings), settings, "runs")
        tables.replace_rows(table, "x", "old", rows, "x")


class _DeleteManifest(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return super()._meta | {"content": "deletes"}


class _AppendDeletes(_FastAppendFiles):
    def new_manifest_writer(self, spec: PartitionSpec) -> ManifestWriter:
        return _DeleteManifest(spec, self.schema(), self.new_manifest_output(), self._snapshot_id, self._compression)


def delete_rows(table: Table, file: str, positions: list[int], partition: str = DAY) -> None:
    """Delete rows of a data file as Spark does with write.delete.mode = merge-on-read: by a file of their positions."""
    schema = pa.schema(
        [
            pa.field("file_path", pa.string(), False, {"PARQUET:field_id": "2147483546"}),
            pa.field("pos", pa.int64(), False, {"PARQUET:field_id": "2147483545"}),
        ]
    )
    path = Path(file.removeprefix("file://")).with_name(f"{uuid.uuid4()}-deletes.parquet")
    pq.write_table(pa.table({"file_path": [file] * len(positions), "pos": positions}, schema=schema), path)
    deletes = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=f"file://{path}",
        file_format=FileFormat.PARQUET,
        partition=Record(partition),
        record_count=len(positions),
        file_size_in_bytes=path.stat().st_size,
    )
    deletes.spec_id = table.spec().spec_id
    with table.transaction() as change, _AppendDeletes(Operation.DELETE, change, table.io) as snapshot:
        snapshot.append_data_file(deletes)


def swap_in(settings: Settings, folder: str, run_id: str, start: Barrier) -> None:
    """Publish a features file of a run as soon as all the others are ready."""
    file = features_file(Path(folder), run_id)
    start.wait()
    table = tables.open_table(tables.open_catalog(settings), settings, "photos")
    tables.replace_files(table, DAY, [file], run_id)


def open_first(rounds: list[Settings], results: Queue, start: Barrier) -> None:
    """Open a table that may not exist yet, in each round. Puts (round, the table's UUID) into the queue."""
    for number, settings in enumerate(rounds):
        start.wait()
        table = tables.open_table(tables.open_catalog(settings), settings, "photos")
        results.put((number, str(table.metadata.table_uuid)))


def in_processes(work: Callable[..., None], arguments: list[tuple[Any, ...]]) -> None:
    """Call `work` once with each tuple of arguments, in as many processes at the same time. All must succeed."""
    workers = [SPAWN.Process(target=work, args=given) for given in arguments]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
    assert [worker.exitcode for worker in workers] == [0] * len(workers)
