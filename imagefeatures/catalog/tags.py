"""Tags `run-<id>`: what a table was as a run left it, under the run's name, for as long as the run's rows stand.

A snapshot's summary says which run left it, and of which place in the table: a partition. The commit that publishes
tags its last snapshot, and drops the tag of the run that it replaces. A tag holds its snapshot, and that all the files
of the table as it was then, so there are few: the oldest beyond a number go (docs/decisions/0057-upkeep.md).
"""

from __future__ import annotations

from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import RemoveSnapshotRefUpdate, SetSnapshotRefUpdate

from imagefeatures.catalog import retention

SIGNATURE = "imagefeatures.run-id"
"""In a snapshot's summary: the run that left it."""

PLACE = "imagefeatures.place"
"""In a snapshot's summary: the partition that the run replaced; in a table of all datasets <dataset>/<partition>."""

PREFIX = "run-"


def signed(run_id: str, place: str | None = None) -> dict[str, str]:
    """The summary of a snapshot that the run leaves. place: None where it replaces no partition."""
    return {SIGNATURE: run_id} | ({PLACE: place} if place else {})


def put(table: Table, change: Transaction, run_id: str, place: str, stands: bool) -> None:
    """Add to a publication's changes that its last snapshot is tagged, and that older tags go.

    table: as the transaction began with it. stands: whether the run has rows in the table; nothing is tagged where it
    has none, nor where the changes make no snapshot.
    """
    metadata = change.table_metadata
    left = metadata.current_snapshot_id
    if left is None or left == table.metadata.current_snapshot_id:
        return
    own = _own(metadata)
    replaced = {name for name, snapshot in own.items() if snapshot.summary and snapshot.summary[PLACE] == place}
    others = sorted(own.keys() - replaced, key=lambda name: own[name].sequence_number or 0)
    most = retention.bounds(metadata).most_tags
    dropped = (replaced | set(others[: max(0, len(others) + 1 - most)])) - {tag_of(run_id)}
    tag = SetSnapshotRefUpdate(
        ref_name=tag_of(run_id),
        type=SnapshotRefType.TAG,
        snapshot_id=left,
        max_ref_age_ms=None,
        max_snapshot_age_ms=None,
        min_snapshots_to_keep=None,
    )
    # A tag of an emptied partition would hold the others, which may be taken back next.
    set_now = [tag] if most and stands else []
    # Not pyiceberg's manage_snapshots, which works out the whole metadata for each of them.
    change._apply((*(RemoveSnapshotRefUpdate(ref_name=name) for name in sorted(dropped)), *set_now))


def drop(change: Transaction, run_id: str) -> None:
    """Add to the changes that take a refused run back that its tag goes."""
    if tag_of(run_id) in _own(change.table_metadata):
        change._apply((RemoveSnapshotRefUpdate(ref_name=tag_of(run_id)),))


def tag_of(run_id: str) -> str:
    """The name of a run's tag, as Spark SQL has it in `VERSION AS OF`.

    >>> tag_of("20261103T000000-0a1b2c3d")
    'run-20261103T000000-0a1b2c3d'
    """
    return PREFIX + run_id


def _own(metadata: TableMetadata) -> dict[str, Snapshot]:
    """The snapshots that have a tag of their run, by the tag. A tag that somebody else has made is no such one."""
    snapshots = {snapshot.snapshot_id: snapshot for snapshot in metadata.snapshots}
    tagged = {name: snapshots.get(ref.snapshot_id) for name, ref in metadata.refs.items()}
    return {
        name: snapshot
        for name, snapshot in tagged.items()
        if snapshot and snapshot.summary and name == tag_of(str(snapshot.summary[SIGNATURE]))
    }
