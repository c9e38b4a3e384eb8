"""The catalog against the lake: which tables cannot be read, why, and the newest earlier state that can.

A state of a table is one metadata file, the manifest list and the manifests that it names, and their data files.
`examine` only reads. `go_back` changes one row of a SQL catalog and no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables
from pyiceberg.exceptions import NoSuchNamespaceError
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile
from pyiceberg.serializers import FromInputFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from imagefeatures import names, storage
from imagefeatures.catalog import connect, guards, past
from imagefeatures.catalog.file_io import LAKE, LakeFileIO, plain_uri
from imagefeatures.catalog.sql_catalog import LakeSqlCatalog
from imagefeatures.catalog.tags import SIGNATURE
from imagefeatures.errors import CatalogError, CatalogRefused


@dataclass(frozen=True)
class State:
    """One metadata file of a table. faults: what is wrong with it or its files, one line each; none: it can be read.

    partitions: the partition keys whose data files are lost or damaged. metadata: None where it cannot be read.
    """

    uri: str
    faults: tuple[str, ...]
    partitions: tuple[str, ...] = ()
    metadata: TableMetadata | None = None


@dataclass(frozen=True)
class TableReport:
    """A table of the catalog. current: the state that the catalog names. earlier: the newest sound one before it.

    name: with the namespace, such as features.fruit.

    earlier is None where the current state is sound, and where no earlier one is. newer: a metadata file of a later
    commit than the catalog knows; the catalog may be an older copy.
    """

    name: str
    current: State
    earlier: State | None
    newer: str | None = None

    @property
    def lost(self) -> list[str]:
        """The run_id of each commit after the earlier state, oldest first, as far as the current metadata says it."""
        if self.earlier is None or self.current.metadata is None or self.earlier.metadata is None:
            return []
        kept = {snapshot.snapshot_id for snapshot in self.earlier.metadata.snapshots}
        later = [snapshot for snapshot in self.current.metadata.snapshots if snapshot.snapshot_id not in kept]
        runs = [snapshot.summary[SIGNATURE] for snapshot in later if snapshot.summary]
        return list(dict.fromkeys(run for run in runs if run))  # other programs sign nothing


def examine(catalog: Catalog) -> Iterator[TableReport]:
    """Each table of the catalog, by name: all files of its current snapshot are looked for, and their sizes compared.

    Of a REST catalog the server itself reads the metadata, so only tables that it can load are examined.
    """
    io = LakeFileIO(catalog.properties)
    for namespace in names.NAMESPACES:
        for name, current, before in rows(catalog, namespace):
            state = _state(current, io)
            earlier = _earlier(state, before, io) if state.faults else None
            yield TableReport(f"{namespace}.{name}", state, earlier, _newer(current))


def go_back(catalog: Catalog, report: TableReport) -> None:
    """Make the earlier state the table's current one. Raises CatalogRefused for REST, CatalogError after a commit."""
    if not isinstance(catalog, LakeSqlCatalog):
        raise CatalogRefused("a REST catalog changes its tables itself: use the server's own means to go back")
    if report.earlier is None:
        raise CatalogRefused(f"{report.name}: no earlier state of it can be read")
    namespace, _, table = report.name.partition(".")
    with connect.readable_errors(catalog.properties["uri"]), Session(catalog.engine) as session:
        changed = session.execute(
            update(IcebergTables)
            .where(
                IcebergTables.catalog_name == catalog.name,
                IcebergTables.table_namespace == namespace,
                IcebergTables.table_name == table,
                func.coalesce(IcebergTables.metadata_location, "") == report.current.uri,
            )
            .values(metadata_location=report.earlier.uri, previous_metadata_location=report.current.uri)
        )
        session.commit()
    if not getattr(changed, "rowcount", 0):
        raise CatalogError(f"{report.name}: a run has committed meanwhile; look again")


def gone_back(catalog: Catalog) -> dict[tuple[str, ...], str]:
    """The tables that `go_back` has taken back and nobody has committed to since, with the URI of the state before."""
    if not isinstance(catalog, LakeSqlCatalog):
        return {}
    return {
        (namespace, name): before
        for namespace in names.NAMESPACES
        for name, current, before in rows(catalog, namespace)
        if before and version(before) > version(current)
    }


def newest_sound(metadata_folder: str, io: FileIO) -> State | None:
    """The newest state of a table that can be read, by its folder of metadata files, whatever a catalog says."""
    states = (_state(uri, io) for uri in beside(f"{metadata_folder}/"))
    return next((state for state in states if not state.faults), None)


def rows(catalog: Catalog, namespace: str) -> Iterator[tuple[str, str, str | None]]:
    """(table, URI of its metadata, URI of the metadata before) of each table of the namespace, by name."""
    if isinstance(catalog, LakeSqlCatalog):
        wanted = select(IcebergTables).where(
            IcebergTables.catalog_name == catalog.name, IcebergTables.table_namespace == namespace
        )
        with connect.readable_errors(catalog.properties["uri"]), Session(catalog.engine) as session:
            found = [
                (row.table_name, row.metadata_location or "", row.previous_metadata_location)
                for row in session.scalars(wanted)
            ]
        yield from sorted(found)
        return
    try:
        identifiers = sorted(catalog.list_tables(namespace))
    except NoSuchNamespaceError:
        return
    for identifier in identifiers:
        table = catalog.load_table(identifier)
        yield identifier[-1], table.metadata_location, None


def _state(uri: str, io: FileIO) -> State:
    lake = io.properties[LAKE]
    foreign = f"it lies in another lake than this one, {lake}: {guards.RELOCATE}"
    if not _is_named(uri):
        return State(uri, ("the catalog names no file of it",))
    if not guards.is_inside(uri, lake):
        return State(uri, (foreign,))
    try:
        metadata = FromInputFile.table_metadata(io.new_input(uri))
    except Exception as error:  # whatever a damaged file makes pyiceberg raise
        return State(uri, (fault(uri, io, error),))
    if not guards.is_inside(metadata.location, lake):  # a metadata file that was copied, and not written anew
        return State(uri, (foreign,))
    if (snapshot := metadata.current_snapshot()) is None:
        return State(uri, (), (), metadata)
    faults, damaged = _faults(snapshot, io)
    partitions = sorted({str(file.partition[0]) for file in damaged if len(file.partition)})
    return State(uri, tuple(faults), tuple(partitions), metadata)


def _faults(snapshot: Snapshot, io: FileIO) -> tuple[list[str], list[DataFile]]:
    """What is wrong with the files of a snapshot, and which of its data files are damaged."""
    try:
        manifests = snapshot.manifests(io)
    except Exception as error:
        return [fault(snapshot.manifest_list, io, error)], []
    faults: list[str] = []
    damaged: list[DataFile] = []
    for manifest in manifests:
        try:
            entries = manifest.fetch_manifest_entry(io)
        except Exception as error:
            faults.append(fault(manifest.manifest_path, io, error))
            continue
        for entry in entries:
            if wrong := wrong_size(entry.data_file.file_path, entry.data_file.file_size_in_bytes, io):
                faults.append(wrong)
                damaged.append(entry.data_file)
    return faults, damaged


def wrong_size(uri: str, expected: int, io: FileIO) -> str | None:
    try:
        size = len(io.new_input(uri))
    except FileNotFoundError:
        return f"{uri} is missing"
    except Exception as error:  # whatever a damaged manifest names, such as a file of another scheme
        return f"{uri} cannot be read ({type(error).__name__})"
    return None if size == expected else f"{uri} has {size} bytes instead of {expected}"


def fault(uri: str, io: FileIO, error: Exception) -> str:
    try:
        size = len(io.new_input(uri))
    except FileNotFoundError:
        return f"{uri} is missing"
    except Exception:
        return f"{uri} cannot be read ({type(error).__name__})"
    return f"{uri} cannot be read ({size} bytes, {type(error).__name__})"


def _earlier(current: State, before: str | None, io: FileIO) -> State | None:
    """The newest sound state before the current one.

    The current metadata names those before it. Where it cannot be read, the catalog names one, and that one the rest.
    Where that cannot be read either, the folder has them; it may also have files of commits that were never made, so
    its files count only if their version is lower than any that is damaged.
    """
    seen = {current.uri}
    for uri in _log(current) or ([before] if before else []):
        if uri not in seen:
            seen.add(uri)
            state = _state(uri, io)
            if not state.faults:
                return state
            for older in _log(state):
                seen.add(older)
                if not (found := _state(older, io)).faults:
                    return found
    lowest = min(version(uri) for uri in seen)
    for uri in beside(current.uri):
        if version(uri) < lowest and not (state := _state(uri, io)).faults:
            return state
    return None


def _newer(current: str) -> str | None:
    # The next version alone proves nothing: a commit that was never made leaves its file.
    newest = next(iter(beside(current)), current)
    return newest if version(newest) > version(current) + 1 else None


def beside(uri: str) -> list[str]:
    """All metadata files of a table, the newest version first; none where the URI is of no store."""
    folder = plain_uri(uri).rpartition("/")[0]
    if not _is_named(uri):
        return []
    files = [f"{folder}/{name}" for name in storage.names(folder) if name.endswith(".metadata.json")]
    return sorted(files, key=version, reverse=True)


def _is_named(uri: str) -> bool:
    """Whether a catalog's row names a file, whatever somebody else has made of the row."""
    return uri.startswith(("file:/", "/")) or plain_uri(uri).startswith("s3://")


def _log(state: State) -> list[str]:
    """The metadata files before a state, newest first, as its own metadata names them."""
    return [entry.metadata_file for entry in reversed(state.metadata.metadata_log)] if state.metadata else []


def version(uri: str) -> int:
    """The number that a metadata file's name begins with."""
    return past.version(uri.rpartition("/")[2]) or 0
