"""The files in a table's folder that nothing names any more: found by a listing, and deleted.

look     lists the folder, and reads what every snapshot names
expire   lets snapshots expire that the table's bounds no longer keep, and deletes what only they named
settle   leaves out the files of runs that can still be published, and those that were published meanwhile
remove   deletes the rest

A file that nothing names may be one that a run is about to publish. It is left until it is old, and as long as its run
can be published. Whoever settles asks which runs those are after the listing, and the table is read again after that:
a run whose staging folder is gone by then has been published before, or never will be.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import posixpath
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from pyiceberg.table import Table
from pyiceberg.utils.concurrent import ExecutorFactory

from imagefeatures import layout, storage
from imagefeatures.catalog import attempts, expired_files, past, retention
from imagefeatures.catalog.file_io import is_checksums, plain_uri
from imagefeatures.catalog.guards import RELOCATE
from imagefeatures.catalog.transactions import Changes
from imagefeatures.errors import CatalogRefused, StoreRefused
from imagefeatures.settings import Retention
from imagefeatures.storage.objects import StoredObject

METADATA = ".metadata.json"

T = TypeVar("T")


@dataclass
class TableSweep:
    """One table of a lake. Its methods are called in the order of the module's head; each may raise pyiceberg's errors.

    kept: by which snapshots expire. snapshots: how many do. expired: the files that only those name. strays: the files
    that nothing names and that were last written before a moment; after `settle` those that are to go.
    """

    table: Table
    lake: str
    kept: Retention
    snapshots: int = 0
    expired: list[StoredObject] = field(default_factory=list)
    strays: list[StoredObject] = field(default_factory=list)
    _of_manifest: dict[str, set[str]] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        namespace, name = self.table.name()
        return layout.table_folder(self.lake, name, namespace)

    def look(self, now: dt.datetime, before: float) -> None:
        """List the folder. now: by which snapshots expire. before: in seconds since 1970; younger files are left.

        Raises CatalogRefused or StoreRefused where it cannot be proven that the folder is this table's alone.
        """
        if plain_uri(self.table.location()) != self.folder:
            raise CatalogRefused(
                f"{'.'.join(self.table.name())}: lies in {self.table.location()}, and not in {self.folder}; nothing is "
                "swept there"
            )
        refuse_link(self.lake, self.folder)
        refuse_ambiguous(self.folder)
        listed = list(storage.list_objects(self.folder))
        self.table.refresh()  # what was committed meanwhile is no stray
        spared = _refuse_foreign(self.table, self.folder, listed)
        named, left, self.snapshots = self._as_it_is(lambda: self._named_and_left(now))
        self.expired = [stored for stored in listed if stored.uri in named - left]
        self.strays = [
            stored
            for stored in listed
            if stored.uri not in named | spared and stored.modified is not None and stored.modified < before
        ]

    def expire(self, now: dt.datetime) -> None:
        """Let old snapshots expire, in one commit, and delete their files."""

        def swap() -> None:
            self.table.refresh()
            if retention.expired_snapshots(self.table.metadata, now, self.kept):
                with Changes(self.table) as change:
                    change.set_properties(retention.properties(self.kept, self.table.properties))
                    retention.expire(self.table, change, now)

        attempts.until_committed(swap)
        retention.remove_expired(self.table, self.lake)

    def settle(self, live: Collection[str]) -> None:
        """Leave out what is not to go. live: how the names of files begin whose run can be published."""
        beginnings = tuple(live)
        self.expired, self.strays = (
            [stored for stored in some if not stored.uri.rpartition("/")[2].startswith(beginnings)]
            for some in (self.expired, self.strays)
        )
        named = self._as_it_is(self._named)
        self.strays = [stored for stored in self.strays if stored.uri not in named]

    def remove(self) -> None:
        """Delete the strays: metadata first, so that what is left of a snapshot never names a file that is gone."""
        ordered = sorted((stored.uri for stored in self.strays), key=lambda uri: (_depth(uri), uri))
        for depth in range(4):
            retention.delete_files((uri for uri in ordered if _depth(uri) == depth), self.table)

    def _as_it_is(self, read: Callable[[], T]) -> T:
        """What is read of the newest state of the table, whose old files other clean-ups may delete meanwhile."""
        for _ in range(retention.TRIES):
            version = self.table.refresh().metadata_location
            with contextlib.suppress(FileNotFoundError):
                return read()
            if self.table.refresh().metadata_location == version:
                break
        return read()

    def _named_and_left(self, now: dt.datetime) -> tuple[set[str], set[str], int]:
        """What the table names, what of it is left when old snapshots have expired, and how many do."""
        expiring = {one.snapshot_id for one in retention.expired_snapshots(self.table.metadata, now, self.kept)}
        return self._named(), self._named(expiring), len(expiring)

    def _named(self, without: Collection[int] = ()) -> set[str]:
        """Every file that the table's metadata and its snapshots name. without: ids of snapshots that do not count."""
        metadata = self.table.metadata
        files = [self.table.metadata_location, *past.log_of(metadata)]
        files += [one.statistics_path for one in metadata.statistics if one.snapshot_id not in without]
        files += [one.statistics_path for one in metadata.partition_statistics if one.snapshot_id not in without]
        lists = [one.manifest_list for one in metadata.snapshots if one.snapshot_id not in without]
        each, io = ExecutorFactory.get_or_create().map, self.table.io
        manifests = {
            path: manifest
            for of_list in each(partial(expired_files.manifests_of, io), lists)
            for path, manifest in of_list.items()
        }
        unread = [path for path in manifests if path not in self._of_manifest]
        self._of_manifest.update(
            zip(unread, each(partial(expired_files.live, io), map(manifests.__getitem__, unread)), strict=True)
        )
        named = {plain_uri(uri) for uri in (*files, *lists)} | manifests.keys()
        return named.union(*(self._of_manifest[path] for path in manifests))


def refuse_link(lake: str, folder: str) -> None:
    """Raise StoreRefused where a folder of a local lake is a link, or lies behind one: it may be another's."""
    if lake.startswith("file://"):
        real = Path(lake.removeprefix("file://")).resolve() / folder.removeprefix(f"{lake}/")
        if (there := Path(folder.removeprefix("file://")).resolve()) != real:
            raise StoreRefused(f"{folder} leads to {there} by a link; nothing is removed there")


def refuse_ambiguous(folder: str) -> None:
    """Raise StoreRefused where a local path has `//`, `/./` or `/../`: Spark names the files in it by a shorter one.

    What Spark has compacted would then be taken for files that nothing names.
    """
    path = folder.removeprefix("file://")
    if folder.startswith("file://") and (short := posixpath.normpath(path)) != path:
        raise StoreRefused(
            f"{folder}: Spark names this folder {short}, so it is not known which files are named; nothing is swept "
            f"there: set IMAGEFEATURES_LAKE to the shorter path; {RELOCATE}"
        )


def _refuse_foreign(table: Table, folder: str, listed: list[StoredObject]) -> set[str]:
    """Raise CatalogRefused where the folder has metadata that is not of this table's own past.

    It is another catalog's that shares the lake, or of commits that this catalog does not know since it is an older
    copy. A commit that was killed leaves a metadata file too: it follows one of the table's own. Returns the URIs of
    those that tell of no file and may be anybody's: a creation that lost a race leaves one.
    """
    spared = set()
    current = plain_uri(table.metadata_location)
    own = {current, *past.log_of(table.metadata)}
    names = {stored.uri: stored.uri.rpartition("/")[2] for stored in listed}
    files = {one.uri: one for one in listed if METADATA in names[one.uri] and not is_checksums(one.uri)}
    oldest_own = min((files[uri].modified or 0 for uri in own if uri in files), default=0)
    if files.keys() - own:
        own |= past.forgotten_by_log(table, files)
    versions = {uri: _version(uri) for uri in own}
    for uri in sorted(files.keys() - own):
        other = past.read(table, uri)
        if other is None:  # removed meanwhile, by a commit
            continue
        if other.table_uuid != table.metadata.table_uuid and not other.snapshots:
            spared.add(uri)
            continue
        if plain_uri(other.location) != folder and (files[uri].modified or 0) <= oldest_own:
            continue  # of the time before the lake was relocated
        strange = plain_uri(other.location) != folder or other.table_uuid != table.metadata.table_uuid
        if other.metadata_log:
            before = plain_uri(other.metadata_log[-1].metadata_file)
            forgotten = before not in files and _version(before) < min(versions.values())
            strange = strange or not (before in own or forgotten)
        if strange or _version(uri) > versions[current] + 1:
            raise CatalogRefused(
                f"{'.'.join(table.name())}: {uri} is of a table, or of commits, that this catalog does not know: "
                "another catalog may share the lake; nothing is swept there. If none does, remove that file"
            )
    return spared


def _version(uri: str) -> int:
    return past.version(uri.rpartition("/")[2]) or 0


def _depth(uri: str) -> int:
    """How many steps a file is away from the metadata file that leads to it."""
    name = uri.rpartition("/")[2]
    if METADATA in name:
        return 0
    return 1 if name.startswith("snap-") else 2 if name.endswith(".avro") else 3
