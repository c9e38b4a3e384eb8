"""What a table weighs, and whether all that it still knows of its past can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from pyiceberg.table import Table

from imagefeatures import schemas
from imagefeatures.settings import Settings
from support.publishing import DAY, pa

KEPT, GROUP = 10, 2
"""The bound of these tests; so many snapshots beyond it are removed together."""

FIRST_GROUP = 7
"""So many publications of one partition leave 13 snapshots, of which the three oldest go."""

Publish = Callable[[str], None]
"""Publishes a file of the run with that id."""


def folder_of(table: Table) -> Path:
    return Path(table.location().removeprefix("file://"))


def kinds(table: Table) -> Counter[str]:
    """How many files of each kind lie in the table's folder."""
    names = [path.name for path in folder_of(table).rglob("*") if path.is_file()]
    return Counter(
        "version" if name.endswith(".metadata.json")
        else "list" if name.startswith("snap-")
        else "manifest" if name.endswith(".avro")
        else "data"
        for name in names
    )  # fmt: skip


def weight(table: Table) -> int:
    """The bytes of all files in the table's folder."""
    return sum(path.stat().st_size for path in folder_of(table).rglob("*") if path.is_file())


def read_whole_past(table: Table) -> list[int]:
    """The rows of each snapshot that the table keeps, oldest first, every file read. Fails where one is missing."""
    table.refresh()
    known = sorted(table.metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0)
    return [table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().num_rows for snapshot in known]


def named_files(table: Table) -> set[str]:
    """Every file that the table's snapshots name, as paths: manifest lists, manifests, data files."""
    found = {snapshot.manifest_list for snapshot in table.metadata.snapshots}
    for snapshot in table.metadata.snapshots:
        for manifest in snapshot.manifests(table.io):
            found.add(manifest.manifest_path)
            found.update(entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io))
    return {uri.removeprefix("file://") for uri in found}


def unnamed_files(table: Table) -> set[str]:
    """The files in the table's folder that nothing names, its metadata's known versions aside."""
    table.refresh()
    versions = {entry.metadata_file for entry in table.metadata.metadata_log} | {table.metadata_location}
    stored = {str(path) for path in folder_of(table).rglob("*") if path.is_file()}
    return stored - named_files(table) - {uri.removeprefix("file://") for uri in versions}


def runs_row(dataset: str, run_id: str, partition: str = DAY) -> pa.Table:
    """A row of features.runs."""
    blank = {pa.string(): "x", pa.int64(): 7, pa.float64(): 0.5}
    row = {field.name: blank.get(field.type, [] if pa.types.is_nested(field.type) else 0) for field in schemas.RUNS}
    own = {"dataset": dataset, "run_id": run_id, "partition_key": partition}
    return pa.Table.from_pylist([row | own], schema=schemas.RUNS)


def rejected_row(dataset: str, run_id: str, partition: str = DAY) -> pa.Table:
    """A row of features.quarantine."""
    row = {
        "partition_key": partition, "dataset": dataset, "uri": "s3://b/1", "step": "ingest", "reason": "CORRUPT",
        "detail": "", "run_id": run_id, "quarantined_at": 0,
    }  # fmt: skip
    return pa.Table.from_pylist([row], schema=schemas.QUARANTINE)


def run_file(settings: Settings, run_id: str, partition: str = DAY, rows: int = 3) -> str:
    """A features file of a run of features.photos, where featurize would write it."""
    row = {
        "partition_key": partition, "image_id": "0" * 64, "label": "red", "width": 3, "height": 2, "mode": "RGB",
        "size": 9, "etag": None, "model": "mobilenet_v2", "fingerprint": "f", "features": [0.5] * 4, "run_id": run_id,
    }  # fmt: skip
    table = pa.Table.from_pylist(
        [{**row, "uri": f"s3://b/{number}"} for number in range(rows)], schema=schemas.FEATURES
    )
    folder = f"{settings.lake}/warehouse/features/photos/data/partition_key={partition}"
    uri = f"{folder}/{run_id}-shard-00000-ab12cd34.parquet"
    path = Path(uri.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return uri
