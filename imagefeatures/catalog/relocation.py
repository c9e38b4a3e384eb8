"""The tables of a lake that was copied or moved: made this lake's own.

Iceberg names every file by its full URI, in the metadata file, in manifest lists and in manifests. A copy of a lake
therefore still reads the original, and a lake that was moved reads nothing. `examine` only reads. `relocate` writes
metadata, manifest lists and manifests anew beside the copied ones, with this lake's URIs, and then makes them current,
all tables in one transaction of the database. Data files are not touched, and neither is the other lake.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pyiceberg.avro.file import AvroFile, AvroOutputFile
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables
from pyiceberg.manifest import ManifestContent, ManifestFile, read_manifest_list
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile, ToOutputFile
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.typedef import Record
from pyiceberg.utils.concurrent import ExecutorFactory
from sqlalchemy import update
from sqlalchemy.orm import Session

from imagefeatures import layout, names
from imagefeatures.catalog import connect, failures, guards, repair, retention
from imagefeatures.catalog.file_io import LAKE, LakeFileIO, plain_uri
from imagefeatures.catalog.sql_catalog import LakeSqlCatalog
from imagefeatures.errors import CatalogError, CatalogRefused


@dataclass(frozen=True)
class Move:
    """The way of a lake. old, new: its URIs."""

    old: str
    new: str

    def __call__(self, uri: str) -> str:
        """The URI in the new place, if it lies in the old one; otherwise the URI as it is."""
        plain = plain_uri(uri)
        there = layout.moved(plain, self.old, self.new)
        return uri if there == plain else there


@dataclass(frozen=True)
class ForeignTable:
    """A table whose metadata file, as the catalog names it, lies in another lake.

    uri: of that file. snapshots: those that can be taken along; the others' files are gone. files: how many data files
    the current one has. faults: what is in the way, one line each.
    """

    name: str
    uri: str
    move: Move
    metadata: TableMetadata | None = None
    snapshots: tuple[Snapshot, ...] = ()
    files: int = 0
    faults: tuple[str, ...] = field(default=())
    namespace: str = names.NAMESPACE

    @property
    def full_name(self) -> str:
        return f"{self.namespace}.{self.name}"

    @property
    def dropped(self) -> int:
        """How many snapshots cannot be taken along."""
        return (len(self.metadata.snapshots) if self.metadata else 0) - len(self.snapshots)


def examine(catalog: Catalog) -> Iterator[ForeignTable]:
    """The tables of the catalog that lie in another lake, by name. Raises CatalogRefused for a REST catalog."""
    if not isinstance(catalog, LakeSqlCatalog):
        raise CatalogRefused("a REST catalog names its tables' files itself: use the server's own means to move them")
    lake = catalog.properties[LAKE]
    for namespace in names.NAMESPACES:
        for name, uri, _ in repair.rows(catalog, namespace):
            if guards.is_inside(uri, lake):
                continue
            match = re.fullmatch(rf"(.+)/warehouse/{namespace}/{re.escape(name)}/metadata/[^/]+", plain_uri(uri))
            if not match:
                raise CatalogRefused(f"{namespace}.{name}: {uri} is not the metadata of a table in a lake")
            found = _examined(name, uri, Move(match.group(1), lake), LakeFileIO(catalog.properties))
            yield replace(found, namespace=namespace)


def relocate(catalog: Catalog, tables: list[ForeignTable]) -> None:
    """Make the tables this lake's own. Raises CatalogError after another's commit; then no table has changed."""
    if not isinstance(catalog, LakeSqlCatalog):
        raise CatalogRefused("a REST catalog names its tables' files itself")
    io = LakeFileIO(catalog.properties)
    current = {}
    for table in tables:
        with failures.readable(table.full_name, catalog.properties["uri"]):
            current[table.full_name] = _written_anew(table, io)
    with connect.readable_errors(catalog.properties["uri"]), Session(catalog.engine) as session:
        for table in tables:
            changed = session.execute(
                update(IcebergTables)
                .where(
                    IcebergTables.catalog_name == catalog.name,
                    IcebergTables.table_namespace == table.namespace,
                    IcebergTables.table_name == table.name,
                    IcebergTables.metadata_location == table.uri,
                )
                .values(metadata_location=current[table.full_name], previous_metadata_location=None)
            )
            if not getattr(changed, "rowcount", 0):
                raise CatalogError(f"{table.full_name}: a run has committed meanwhile; look again")
        session.commit()


def _examined(name: str, uri: str, move: Move, io: LakeFileIO) -> ForeignTable:
    here = move(uri)
    try:
        metadata = FromInputFile.table_metadata(io.new_input(here))
    except Exception as error:  # whatever a damaged file makes pyiceberg raise
        return ForeignTable(name, uri, move, faults=(repair.fault(here, io, error),))
    kept, faults, files = [], [], 0
    whole: set[str] = set()  # manifests that were read: most snapshots share most of theirs
    for snapshot in metadata.snapshots:
        is_current = snapshot.snapshot_id == metadata.current_snapshot_id
        try:
            manifests = list(_manifests(snapshot, move, io))
            to_read = [manifest for manifest in manifests if is_current or manifest.manifest_path not in whole]
            entries = [entry.data_file for manifest in to_read for entry in manifest.fetch_manifest_entry(io)]
            whole.update(manifest.manifest_path for manifest in to_read)
            deletes = any(manifest.content != ManifestContent.DATA for manifest in manifests)
        except Exception as error:
            if is_current:
                faults.append(f"its current snapshot cannot be read here ({failures.line(error)})")
            continue
        if deletes:  # such a file names the data files of whose rows it speaks
            if is_current:
                faults.append("another program has deleted single rows of it; let that program rewrite its files first")
            continue
        kept.append(snapshot)
        if is_current:
            files = len(entries)
            each = ExecutorFactory.get_or_create().map
            wrong = each(lambda file: repair.wrong_size(move(file.file_path), file.file_size_in_bytes, io), entries)
            faults.extend(filter(None, wrong))
    return ForeignTable(name, uri, move, metadata, tuple(kept), files, tuple(faults))


def _manifests(snapshot: Snapshot, move: Move, io: LakeFileIO) -> Iterator[ManifestFile]:
    """The manifests of a snapshot, each with its URI in the new place."""
    for manifest in read_manifest_list(io.new_input(move(snapshot.manifest_list))):
        manifest[0] = move(manifest.manifest_path)
        yield manifest


def _written_anew(table: ForeignTable, io: LakeFileIO) -> str:
    """Write all but the data files of a table with this lake's URIs. Returns the URI of the metadata file."""
    folder = f"{layout.table_folder(table.move.new, table.name, table.namespace)}/metadata"
    manifests: dict[str, tuple[str, int]] = {}
    lists = {}
    for snapshot in table.snapshots:
        records, schema, meta = _read(table.move(snapshot.manifest_list), io)
        columns = [column.name for column in schema.fields]
        at, length = columns.index("manifest_path"), columns.index("manifest_length")
        for record in records:
            if record[at] not in manifests:
                target = f"{folder}/{uuid.uuid4()}-m0.avro"
                manifests[record[at]] = (target, _write_moved(table.move(record[at]), target, table.move, io))
            record[at], record[length] = manifests[record[at]]
        lists[snapshot.snapshot_id] = f"{folder}/snap-{snapshot.snapshot_id}-0-{uuid.uuid4()}.avro"
        _write(lists[snapshot.snapshot_id], records, schema, meta, io)
    uri = f"{folder}/{_next_version(table.move(table.uri)):05d}-{uuid.uuid4()}.metadata.json"
    ToOutputFile.table_metadata(_moved_metadata(table, lists), io.new_output(uri))
    return uri


def _moved_metadata(table: ForeignTable, lists: dict[int, str]) -> TableMetadata:
    """The table's metadata in the new place. lists: the manifest list of each snapshot that is taken along."""
    if table.metadata is None:
        raise CatalogRefused(f"{table.full_name}: {'; '.join(table.faults)}")
    content: dict[str, Any] = json.loads(table.metadata.model_dump_json())
    content["location"] = layout.table_folder(table.move.new, table.name, table.namespace)
    content["snapshots"] = [
        {**snapshot, "manifest-list": lists[snapshot["snapshot-id"]]}
        for snapshot in content["snapshots"]
        if snapshot["snapshot-id"] in lists
    ]
    content["snapshot-log"] = [entry for entry in content["snapshot-log"] if entry["snapshot-id"] in lists]
    content["refs"] = {name: ref for name, ref in content["refs"].items() if ref["snapshot-id"] in lists}
    # Earlier metadata files still name the other lake; and what a clean-up still had to remove there is not known here.
    content["metadata-log"] = []
    content["properties"] = {
        name: table.move(value) for name, value in content["properties"].items() if name != retention.PENDING
    }
    content |= {"statistics": [], "partition-statistics": []}
    return TableMetadataUtil.parse_obj(content)


def _next_version(uri: str) -> int:
    return 1 + max(repair.version(other) for other in [uri, *repair.beside(uri)])


def _read(uri: str, io: LakeFileIO) -> tuple[list[Record], Schema, dict[str, str]]:
    """The records of an Avro file, their schema, and the file's own metadata."""
    with AvroFile[Record](io.new_input(uri)) as source:
        return list(source), source.schema, source.header.meta


def _write(uri: str, records: list[Record], schema: Schema, meta: dict[str, str], io: LakeFileIO) -> int:
    """Write an Avro file with the same columns. Returns its size in bytes."""
    name = json.loads(meta["avro.schema"])["name"]
    output = io.new_output(uri)
    with AvroOutputFile[Record](output, schema, name, metadata=meta) as sink:
        sink.write_block(records)
    return len(output)


def _write_moved(uri: str, target: str, move: Move, io: LakeFileIO) -> int:
    """Write a manifest anew, with the data files' URIs in the new place. Returns its size in bytes."""
    records, schema, meta = _read(uri, io)
    return _write(target, list(map(partial(_moved, move), records)), schema, meta, io)


def _moved(move: Move, value: Any) -> Any:
    """A record with every URI moved. Bounds of columns are bytes, and stay: they tell what the rows hold."""
    if isinstance(value, Record):
        return Record(*(_moved(move, value[index]) for index in range(len(value))))
    return move(value) if isinstance(value, str) else value
