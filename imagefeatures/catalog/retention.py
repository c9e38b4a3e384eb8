"""How much of a table's past is kept, and the removal of the files that only its expired past names.

properties      what a table is told when it is opened
expire          drops snapshots, in the very commit that publishes: no table is ever longer than its bound
remove_expired  deletes what only they named, once the run is published

The commit that expires snapshots also writes their manifest lists into the table's property PENDING. A manifest list is
the last of a snapshot's files to go, so whatever interrupts a clean-up, the next one finds what is left of it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import Collection, Iterable
from functools import partial
from itertools import pairwise

from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import RemoveSnapshotsUpdate
from pyiceberg.utils.concurrent import ExecutorFactory

from imagefeatures import layout, storage
from imagefeatures.catalog import expired_files, past
from imagefeatures.catalog.file_io import plain_uri
from imagefeatures.errors import CatalogRefused
from imagefeatures.settings import Retention

VERSIONS_KEPT = 20
"""Earlier versions of a table's metadata file: each repeats every snapshot, so they grow with the square of them."""

ICEBERG_PROPERTIES = {
    "write.metadata.previous-versions-max": str(VERSIONS_KEPT),
    "write.metadata.delete-after-commit.enabled": "true",
    "commit.manifest-merge.enabled": "true",  # or each publication would leave a manifest to every later snapshot
    "commit.manifest.min-count-to-merge": "10",
    # A replaced partition rewrites its manifest, and so does a merge: one of Iceberg's usual 8 MB would be copied each
    # time, and the next plan would read it.
    "commit.manifest.target-size-bytes": str(64 * 1024),
}
"""Set where a table lacks them. A value that somebody has chosen stays."""

KEEP_SNAPSHOTS, KEEP_DAYS = "imagefeatures.keep-snapshots", "imagefeatures.keep-days"
KEEP_TAGS = "imagefeatures.keep-tags"
PENDING = "imagefeatures.expired-manifest-lists"
"""The table's property that names what a clean-up still has to remove: a JSON list of URIs."""

NEWEST = 4
"""So many snapshots are looked at for what their commits left: a publication makes one or two of a table."""

TRIES = 5
"""So often does a clean-up look at a table anew, whose publications or clean-ups have changed it meanwhile."""


def properties(kept: Retention, current: dict[str, str]) -> dict[str, str]:
    """The properties that a table with the current ones still has to get."""
    own = {KEEP_SNAPSHOTS: str(kept.snapshots), KEEP_DAYS: str(kept.days), KEEP_TAGS: str(kept.tags)}
    missing = {name: value for name, value in ICEBERG_PROPERTIES.items() if name not in current}
    return missing | {name: value for name, value in own.items() if current.get(name) != value}


def expire(table: Table, change: Transaction, now: dt.datetime | None = None) -> None:
    """Add to a publication's changes that old snapshots expire. It is one commit: both happen, or neither.

    table: as the transaction began with it. now: None for the clock's. Heads of branches and tags never expire.
    """
    metadata = change.table_metadata
    expired = expired_snapshots(metadata, now or dt.datetime.now(dt.UTC))
    pending = _pending(metadata)
    unfinished = _existing(pending, table)
    if expired:
        # pyiceberg's own ExpireSnapshots copies the whole metadata for each snapshot.
        change._apply((RemoveSnapshotsUpdate(snapshot_ids=[snapshot.snapshot_id for snapshot in expired]),))
    if left := [*unfinished, *(snapshot.manifest_list for snapshot in expired)]:
        change.set_properties({PENDING: json.dumps(left)})
    elif pending:
        change.remove_properties(PENDING)


def expire_these(table: Table, change: Transaction, snapshots: Collection[int]) -> None:
    """Add to a change that these snapshots expire, with the branches and tags that name them.

    table: as the transaction began with it. `remove_expired` deletes their files.
    """
    metadata = change.table_metadata
    lists = [snapshot.manifest_list for snapshot in metadata.snapshots if snapshot.snapshot_id in snapshots]
    change._apply((RemoveSnapshotsUpdate(snapshot_ids=list(snapshots)),))
    change.set_properties({PENDING: json.dumps([*_existing(_pending(metadata), table), *lists])})


def expired_snapshots(metadata: TableMetadata, now: dt.datetime, kept: Retention | None = None) -> list[Snapshot]:
    """What the table's bounds no longer keep, oldest first. kept: bounds in their place.

    A snapshot's age counts from the moment at which another one took its place, so readers of the one that was current
    until now have all the days to finish. Those beyond the number go in groups: finding out which files only they name
    takes a look at all the others.
    """
    kept = kept or bounds(metadata)
    replaced = {before.snapshot_id: after.timestamp_ms for before, after in pairwise(metadata.snapshot_log)}
    heads = {ref.snapshot_id for ref in metadata.refs.values()}
    oldest_first = sorted(
        metadata.snapshots, key=lambda snapshot: (snapshot.sequence_number or 0, snapshot.timestamp_ms)
    )
    horizon = (now.timestamp() - kept.days * 86_400) * 1000  # a date before the year 1 would be none
    beyond = {snapshot.snapshot_id for snapshot in oldest_first[: -kept.snapshots]} - heads
    if len(beyond) < kept.group:
        beyond = set()
    return [
        snapshot
        for snapshot in oldest_first
        if snapshot.snapshot_id not in heads
        and (snapshot.snapshot_id in beyond or replaced.get(snapshot.snapshot_id, snapshot.timestamp_ms) < horizon)
    ]


def remove_expired(table: Table, lake: str) -> int:
    """Delete the files that only expired snapshots name, and those that no snapshot has ever named. Returns how many.

    A file stays if it lies outside the table's folder, or if the run that wrote it can still be published (it has a
    staging folder in the lake). Raises errors of the store. Safe beside other clean-ups and publications.
    """
    # Not the location that the metadata says: who can write the metadata shall not choose what is deleted.
    namespace, name = table.name()
    inside = partial(_is_below, layout.table_folder(lake, name, namespace))
    deleted = delete_files(filter(inside, _merged_at_once(table)), table)
    for attempt in range(TRIES if _pending(table.metadata) else 0):
        table.refresh()
        version = table.metadata_location
        lists = _existing(list(filter(inside, _pending(table.metadata))), table)
        try:
            files, manifests = expired_files.only_named_by(lists, table)
        except FileNotFoundError:  # another clean-up has deleted one of them meanwhile
            if attempt + 1 < TRIES:
                continue
            raise
        files -= _may_be_published(files, lake)
        # A run that was published meanwhile has no staging folder any more, and its files may be among these.
        if table.refresh().metadata_location == version:
            # Lists last, as they lead to the manifests, and manifests to the data files.
            for uris in (files, manifests, lists, *([uri] for uri in _old_versions(table))):
                deleted += delete_files(filter(inside, uris), table)
            return deleted
    return deleted  # others publish all the time: the next clean-up finds the same


def bounds(metadata: TableMetadata) -> Retention:
    """How much of its past a table keeps, as it was told last."""
    usual, own = Retention(), metadata.properties
    told = {KEEP_SNAPSHOTS: usual.snapshots, KEEP_DAYS: usual.days, KEEP_TAGS: usual.tags}
    return Retention(*(int(own.get(name, number)) for name, number in told.items()))


def _merged_at_once(table: Table) -> set[str]:
    """The manifests that the newest commits wrote and merged into others before they ended: nothing names them.

    pyiceberg numbers the manifests of a commit, <uuid>-m0.avro, <uuid>-m1.avro, … Its uuid is in its list's name too.
    """
    named: set[str] = set()
    lists: list[str] = []
    for snapshot in sorted(table.metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0)[-NEWEST:]:
        with contextlib.suppress(FileNotFoundError):  # others have published so often that it is expired, and deleted
            named.update(expired_files.manifests_of(table.io, snapshot.manifest_list))
            lists.append(snapshot.manifest_list)
    written: set[str] = set()
    for uri in lists:
        folder, _, name = plain_uri(uri).rpartition("/")
        if commit := re.fullmatch(r"snap-\d+-\d+-([^/]+)\.avro", name):
            own = re.compile(rf"{re.escape(f'{folder}/{commit[1]}')}-m(\d+)\.avro")
            numbers = [int(found[1]) for path in named if (found := own.fullmatch(path))]
            written.update(f"{folder}/{commit[1]}-m{number}.avro" for number in range(max(numbers, default=0)))
    return written - named


def _pending(metadata: TableMetadata) -> list[str]:
    return list(map(plain_uri, json.loads(metadata.properties.get(PENDING, "[]"))))


def _existing(uris: list[str], table: Table) -> list[str]:
    exist = ExecutorFactory.get_or_create().map(lambda uri: table.io.new_input(uri).exists(), uris)
    return [uri for uri, exists in zip(uris, exist, strict=True) if exists]


def _may_be_published(files: Collection[str], lake: str) -> set[str]:
    """Those whose run has a staging folder. Each run is asked for once, however many files it has written."""
    runs = {file: layout.run_files_of(file, lake) for file in files}
    asked = sorted({run_file for of_file in runs.values() for run_file in of_file})
    exist = ExecutorFactory.get_or_create().map(storage.exists, asked)
    there = {run_file for run_file, exists in zip(asked, exist, strict=True) if exists}
    return {file for file, of_file in runs.items() if there.intersection(of_file)}


def _old_versions(table: Table) -> list[str]:
    """Files of earlier versions of the metadata that the table has forgotten: of a time when it kept them for ever.

    Oldest first, so that whatever interrupts their removal, the later ones still lead to what is left. Those that
    another catalog has committed to the same folder are not among them.
    """
    folder, _, current = plain_uri(table.metadata_location).rpartition("/")
    known = past.log_of(table.metadata)
    oldest_kept = (past.version(current) or 0) - VERSIONS_KEPT
    found = {f"{folder}/{name}": past.version(name) for name in storage.names(folder)}
    old = {uri for uri, number in found.items() if number is not None and number < oldest_kept and uri not in known}
    with contextlib.suppress(CatalogRefused):  # a damaged one, of which upkeep tells
        return sorted(old & past.forgotten_by_log(table, found)) if old else []
    return []


def _is_below(folder: str, uri: str) -> bool:
    return uri.startswith(f"{folder}/") and ".." not in uri.split("/")


def delete_files(uris: Iterable[str], table: Table) -> int:
    """Delete files. Returns how many there were."""

    def delete(uri: str) -> bool:
        try:
            table.io.delete(uri)
        except FileNotFoundError:  # another clean-up was first
            return False
        return True

    return sum(ExecutorFactory.get_or_create().map(delete, list(uris)))
