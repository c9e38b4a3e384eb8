"""Takes the rows of single images out of a table for good: out of its files, its snapshots and its folder.

Data files are found by reading a column or two. Those that hold one are written anew without it, and every snapshot
that names one expires in the same commit, with the tags and branches that name the snapshot. Then the files are
deleted, those of no snapshot too. Whatever interrupts it, the next call finds what is left in the table's folder.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from imagefeatures import layout, names, read, schemas, storage
from imagefeatures.catalog import attempts, guards, owners, pixel_tables, retention, tables, tags, unfit
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.catalog.file_io import checksums_of, is_checksums, plain_uri
from imagefeatures.catalog.filters import equal
from imagefeatures.catalog.transactions import Changes
from imagefeatures.columns import rows_of_image
from imagefeatures.errors import CatalogRefused, StoreRefused
from imagefeatures.forget.wanted import Wanted
from imagefeatures.storage.object_reader import ObjectReader
from imagefeatures.storage.objects import StoredObject

UNREADABLE = (StoreRefused, pa.ArrowException, OSError)

FIELD_ID = b"PARQUET:field_id"
"""In the metadata of a column as pyarrow reads it: the number by which Iceberg knows it."""

WITHOUT_IMAGES = {
    *((names.NAMESPACE, name) for name in names.SHARED if name != names.QUARANTINE),
    (names.LEARNING, names.EVALUATIONS),
}
"""The tables of this package whose rows are of no images."""


@dataclass
class Found:
    """Where a table holds images that are wanted.

    files: size in bytes of each data file that holds one, by URI, whether or not a snapshot names it. unreadable: files
    of which that cannot be told.
    """

    files: dict[str, int] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    def rows(self, wanted: Wanted, columns: tuple[str, ...]) -> Iterator[pa.Table]:
        """The wanted rows of these files, in those of the columns that a file has."""
        for uri, size in self.files.items():
            with contextlib.suppress(storage.ObjectMissing):  # a clean-up was first
                for _, batch in read.file_batches(uri, size, (*wanted.columns, *columns)):
                    if (rows := pa.Table.from_batches([batch]).filter(wanted.mask(batch))).num_rows:
                        yield rows


@dataclass(frozen=True)
class Purged:
    """What was done to a table. rows: that were removed from its current snapshot."""

    rows: int = 0
    rewritten: int = 0
    deleted: int = 0
    snapshots: int = 0


@in_one_line
def holding_tables(catalog: Catalog) -> list[Table]:
    """The tables of this package whose rows are of images, of both namespaces."""
    found = []
    for identifier in owners.listed(catalog):
        if identifier == (names.LEARNING, names.EVALUATIONS):
            continue
        with contextlib.suppress(NoSuchTableError):  # somebody has dropped it meanwhile
            table = catalog.load_table(identifier)
            if owners.is_ours(table) and (identifier not in WITHOUT_IMAGES or guards.is_datasets(table)):
                found.append(table)
    return found


def data_files(table: Table, lake: str) -> Iterator[StoredObject]:
    """The files in the table's folder that may hold rows, whether or not a snapshot names them."""
    namespace, name = table.name()
    stored = storage.list_objects(f"{layout.table_folder(lake, name, namespace)}/data")
    return (one for one in stored if may_hold_rows(one))


def may_hold_rows(stored: StoredObject) -> bool:
    """Whether a file in a table's folder of data may hold rows: one without bytes, as stores mark folders, does not."""
    return stored.size > 0 and not is_checksums(stored.uri)


@in_one_line
def find(table: Table, lake: str, wanted: Wanted) -> Found:
    """The data files in the table's folder that hold a wanted image."""
    found = Found()
    for stored in data_files(table, lake):
        try:
            batches = (batch for _, batch in read.file_batches(stored.uri, stored.size, wanted.columns))
            if wanted.hold(batches):
                found.files[stored.uri] = stored.size
        except storage.ObjectMissing:  # a clean-up was first
            continue
        except (*UNREADABLE, KeyError):
            found.unreadable.append(stored.uri)
    return found


@in_one_line
def purge(table: Table, lake: str, wanted: Wanted, found: Found) -> Purged:
    """Remove the wanted rows of these files, and the files themselves.

    Raises CatalogRefused where another program has deleted single rows of the table and not rewritten its files, or has
    partitioned it by more than the files of runs are.
    """
    written: dict[str, tuple[str | None, int]] = {}

    def rewritten(uri: str) -> str | None:
        if uri not in written:
            written[uri] = _without(table, uri, found.files[uri], wanted)
        return written[uri][0]

    snapshots = attempts.until_committed(lambda: _swap(table, set(found.files), rewritten))
    retention.remove_expired(table, lake)
    for uri in found.files:
        if uri.startswith("file://"):
            storage.delete(checksums_of(uri))
        storage.delete(uri)
    anew = sum(new is not None for new, _ in written.values())
    return Purged(sum(rows for _, rows in written.values()), anew, len(found.files), snapshots)


@in_one_line
def recount(table: Table, runs: Table, quarantine: Table, row: dict[str, object]) -> bool:
    """Let a row of features.runs count the rows that its partition has now. Returns False where it does already.

    table: of one of the run's outputs. Which of the rows that have left were reused is not known.
    """
    where = tables.rows_of(str(row["partition_key"]), str(row["dataset"]))

    def swap() -> bool:
        for one in (table, runs, quarantine):
            one.refresh()
        standing = runs.scan(row_filter=where).to_arrow()
        if standing.num_rows != 1:
            return False
        (before,) = standing.to_pylist()
        of_partition = equal("partition_key", before["partition_key"])
        rows = sum(task.file.record_count for task in table.scan(row_filter=of_partition).plan_files())
        registered = rows // rows_of_image(before)
        reasons = quarantine.scan(row_filter=where, selected_fields=("reason",)).to_arrow()["reason"]
        further = before.get("models_reused")
        after = before | {
            "listed": registered + len(reasons),
            "registered": registered,
            "quarantined": len(reasons),
            "reasons": sorted((pair["values"], pair["counts"]) for pair in pc.value_counts(reasons).to_pylist()),
            "reused": None if before["reused"] is None else min(before["reused"], registered),
            "models_reused": further and [(model, min(count, registered)) for model, count in further],
        }
        if {name: after[name] for name in ("registered", "quarantined")} == {
            name: before[name] for name in ("registered", "quarantined")
        }:
            return False
        with Changes(runs) as change:
            change.delete(where, snapshot_properties=tags.signed(before["run_id"]))
            change.append(
                pa.Table.from_pylist([after], schema=schemas.RUNS), snapshot_properties=tags.signed(before["run_id"])
            )
            retention.expire(runs, change)
        return True

    return attempts.until_committed(swap)


def _swap(table: Table, holders: set[str], rewritten: Callable[[str], str | None]) -> int:
    """Make the table one without these files, in one commit. Returns how many snapshots expire with it."""
    table.refresh()
    named: dict[str, set[str]] = {}  # by manifest: most snapshots share most of theirs
    tainted = [snapshot for snapshot in table.snapshots() if _names(table, snapshot, holders, named)]
    if not tainted:
        return 0
    current = table.current_snapshot()
    live = {uri: file for uri, file in _live(table, current).items() if uri in holders}
    expiring = {snapshot.snapshot_id for snapshot in tainted}
    guards.refuse_unwritable(table)
    written = [new for uri in live if (new := rewritten(uri))]
    try:
        unfit.refuse_finer_partitions(table, written)
    except CatalogRefused:
        for new in written:  # each try would leave further ones
            storage.delete(new)
        raise
    with Changes(table) as change:
        if live:
            with change.update_snapshot().overwrite() as overwrite:
                for uri, file in live.items():
                    overwrite.delete_data_file(file)
                    if new := rewritten(uri):
                        overwrite.append_data_file(parquet_file_to_data_file(table.io, table.metadata, new))
        if current and (live or current.snapshot_id in expiring):
            # The manifest of what was deleted repeats the bounds of its columns, the beginnings of the ids among them.
            # A further snapshot leaves it out.
            before = change.table_metadata.current_snapshot_id
            with change.update_snapshot().fast_append():
                pass
            expiring |= {before} if before is not None else set()
        retention.expire_these(table, change, expiring)
    return len(tainted)


def _names(table: Table, snapshot: Snapshot, holders: set[str], named: dict[str, set[str]]) -> bool:
    """Whether a snapshot names one of the files, as one of its own or as one that it has deleted."""
    for manifest in snapshot.manifests(table.io):
        if manifest.manifest_path not in named:
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=False)
            named[manifest.manifest_path] = {plain_uri(entry.data_file.file_path) for entry in entries}
        if named[manifest.manifest_path] & holders:
            return True
    return False


def _live(table: Table, snapshot: Snapshot | None) -> dict[str, DataFile]:
    """The data files of a snapshot by URI."""
    manifests: list[ManifestFile] = snapshot.manifests(table.io) if snapshot else []
    if any(manifest.content != ManifestContent.DATA for manifest in manifests):
        raise CatalogRefused(
            f"{'.'.join(table.name())}: another program has deleted single rows of it; let that program rewrite its "
            "files first (rewrite_data_files), then try again"
        )
    return {
        plain_uri(entry.data_file.file_path): entry.data_file
        for manifest in manifests
        for entry in manifest.fetch_manifest_entry(table.io)
    }


def _without(table: Table, uri: str, size: int, wanted: Wanted) -> tuple[str | None, int]:
    """Write a data file anew without the wanted rows: its URI, None where nothing is left; and how many they were."""
    options = dict(_options(table))
    group_rows = options.pop("row_group_size", None)
    source = pq.ParquetFile(ObjectReader(uri, size), pre_buffer=True, page_checksum_verification=True)
    sink = pa.BufferOutputStream()
    left = removed = 0
    columns = _columns_now(table, source.schema_arrow)
    schema = pa.schema(list(columns.values()), source.schema_arrow.metadata)
    with pq.ParquetWriter(sink, schema, **options) as writer:
        for group in range(source.num_row_groups):
            rows = source.read_row_group(group, use_threads=False)
            kept = rows.filter(pc.invert(wanted.mask(rows)))
            removed += rows.num_rows - kept.num_rows
            left += kept.num_rows
            if kept.num_rows:
                writer.write_table(pa.table(kept.select(list(columns)).columns, schema), row_group_size=group_rows)
    if not left:
        return None, removed
    new = re.sub(r"(-[0-9a-f]{8})?\.parquet$", f"-{secrets.token_hex(4)}.parquet", uri)
    storage.write(new, sink.getvalue())
    return new, removed


def _columns_now(table: Table, schema: pa.Schema) -> dict[str, pa.Field]:
    """The columns of a data file, by the names that they have in it, as the table has them now.

    One that was dropped is left out, and one that was renamed has its new name: a file with another would be no file of
    the table. A column is known by its number in the file, and in files without numbers by the names that it has had.
    """
    known, mapping = table.schema(), table.name_mapping() or table.schema().name_mapping
    numbers = {field.name: int((field.metadata or {}).get(FIELD_ID, -1)) for field in schema}
    if -1 in numbers.values():
        by_name = {name: one.field_id or -1 for one in mapping for name in one.names}
        numbers = {name: by_name.get(name, -1) for name in numbers}
    now = {name: known.find_column_name(number) for name, number in numbers.items()}
    return {name: schema.field(name).with_name(new) for name, new in now.items() if new}


def _options(table: Table) -> dict[str, object]:
    """How the table's files are written: options of pyarrow's write_table."""
    namespace, name = table.name()
    if namespace != names.NAMESPACE or (name in schemas.TABLES and not guards.is_datasets(table)):
        return {"compression": "zstd"}
    return schemas.file_options(pixel_tables.kind_of(table) if names.is_pixels_table(name) else None)
