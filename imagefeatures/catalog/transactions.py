"""pyiceberg's transaction on a table, at a cost that does not grow with the table's past."""

from __future__ import annotations

import time

from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    TableRequirement,
    TableUpdate,
    _apply_table_update,
    _TableMetadataUpdateContext,
    _update_table_metadata_log,
)


class Changes(Transaction):
    """Changes to a table that become one commit, as `table.transaction()`.

    pyiceberg's own works out the table's metadata at each look, and copies every snapshot in it, some twenty times for
    a commit. Here it is worked out once for each change, and shares what does not change with the table's own: treat
    it as read-only, as the models in it are.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._known: tuple[TableMetadata, tuple[TableUpdate, ...], TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """The table's metadata with the changes so far."""
        base, updates = self._table.metadata, self._updates
        if self._known is None or self._known[0] is not base or self._known[1] is not updates:
            self._known = (base, updates, with_updates(base, updates))
        return self._known[2]

    def _stage(self, updates: tuple[TableUpdate, ...], requirements: tuple[TableRequirement, ...] = ()) -> Transaction:
        since = self.table_metadata.last_updated_ms
        return super()._stage(tuple(_not_before(since, update) for update in updates), requirements)


def with_updates(base: TableMetadata, updates: tuple[TableUpdate, ...], location: str | None = None) -> TableMetadata:
    """What pyiceberg's update_table_metadata returns, which copies all of it in the end.

    location: of the metadata file that has `base`; None where the updates are not committed. Times never go back.
    """
    metadata, context = base, _TableMetadataUpdateContext()
    for update in updates:
        metadata = _apply_table_update(update, metadata, context)
    if context.has_changes() and location:
        metadata = _update_table_metadata_log(metadata, location, base.last_updated_ms)
    if context.has_changes() and metadata.last_updated_ms == base.last_updated_ms:
        metadata = metadata.model_copy(update={"last_updated_ms": max(base.last_updated_ms, int(time.time() * 1000))})
    metadata.spec().check_compatible(metadata.schema())
    metadata.sort_order().check_compatible(metadata.schema())
    return metadata


def _not_before(moment: int, update: TableUpdate) -> TableUpdate:
    """The update; a snapshot that it adds is of that moment at least, in milliseconds since 1970.

    Clocks go back, and two machines' differ. Spark and others on Iceberg's Java refuse to read a table one of whose
    snapshots is a minute older than the one before it.
    """
    if not isinstance(update, AddSnapshotUpdate) or update.snapshot.timestamp_ms >= moment:
        return update
    return AddSnapshotUpdate(snapshot=update.snapshot.model_copy(update={"timestamp_ms": moment}))
