"""pyiceberg's SQL catalog, with this package's FileIO, checked tables, and commits that survive a power cut."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.table import CommitTableResponse, StagedTable, Table
from pyiceberg.table.locations import load_location_provider
from pyiceberg.table.update import TableRequirement, TableUpdate
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties
from sqlalchemy import event

from imagefeatures.catalog import connect, guards
from imagefeatures.catalog.file_io import LAKE, LakeFileIO
from imagefeatures.catalog.transactions import with_updates
from imagefeatures.errors import CatalogRefused
from imagefeatures.storage import modes


class LakeSqlCatalog(SqlCatalog):
    """A catalog in SQLite or PostgreSQL. Its property LAKE holds the lake's URI.

    The catalog is asked at each load. The metadata file that it names is read once: such a file never changes.
    """

    def _init_catalog(self) -> None:
        self._loaded: dict[str, Table] = {}
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _sync_every_commit)
            _make_file(self.properties["uri"])
        super()._init_catalog()

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> LakeFileIO:
        return LakeFileIO(self.properties)  # a table's properties say nothing about it

    def load_table(self, identifier: str | Identifier) -> Table:
        """Load, as pyiceberg's. Raises CatalogError or CatalogRefused where the database fails."""
        with connect.readable_errors(self.properties["uri"]):
            return super().load_table(identifier)

    def _convert_orm_to_iceberg(self, orm_table: IcebergTables) -> Table:
        name = f"{orm_table.table_namespace}.{orm_table.table_name}"
        known = self._loaded.get(name)
        if known and known.metadata_location == orm_table.metadata_location:
            return Table(known.name(), known.metadata, known.metadata_location, known.io, self)
        if not orm_table.metadata_location:  # pyiceberg would say that there is no such table, and a run would make one
            raise CatalogRefused(f"{name}: {self._described} names no file of it; {guards.REPAIR}")
        # Before the file is read: a lake that was moved has left none there.
        guards.check_place(
            name,
            orm_table.metadata_location.rpartition("/metadata/")[0],
            self.properties[LAKE],
            self._described,
        )
        with guards.readable_metadata(name, orm_table.metadata_location, self._load_file_io()):
            table = super()._convert_orm_to_iceberg(orm_table)
        guards.checked(table, self.properties[LAKE], self._described)
        # Of its own: a table that is handed out changes as it is refreshed.
        self._loaded[name] = Table(table.name(), table.metadata, table.metadata_location, table.io, self)
        return table

    @property
    def _described(self) -> str:
        return connect.describe(self.properties["uri"])

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        """Commit, as pyiceberg's. Raises CatalogError or CatalogRefused where the database fails."""
        with connect.readable_errors(self.properties["uri"]):
            return super().commit_table(table, requirements, updates)

    def _update_and_stage_table(
        self,
        current_table: Table | None,
        table_identifier: Identifier,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> StagedTable:
        """What is committed next, as pyiceberg's, which copies every snapshot of the table's past for it."""
        if current_table is None:
            return super()._update_and_stage_table(None, table_identifier, requirements, updates)
        for requirement in requirements:
            requirement.validate(current_table.metadata)
        at = current_table.metadata_location
        metadata = with_updates(current_table.metadata, updates, at)
        places = load_location_provider(metadata.location, metadata.properties)
        place = places.new_table_metadata_file_location(self._parse_metadata_version(at) + 1)
        return StagedTable(table_identifier, metadata, place, self._load_file_io(), self)


def _make_file(uri: str) -> None:
    """Make SQLite's file with the permissions of the lake's files: SQLite would let everybody read it."""
    if file := connect.sqlite_file(uri):
        with contextlib.suppress(OSError):  # it is there; or SQLite says what is wrong
            os.close(modes.create(str(file), os.O_RDWR | os.O_CREAT | os.O_EXCL))


def _sync_every_commit(connection: Any, _: object) -> None:
    # SQLite's default does not wait until the journal's removal is on the disk, and a power cut in the next seconds
    # would undo the commit; by then the run's staging folder is gone.
    connection.execute("PRAGMA synchronous = EXTRA")
