"""Histories of a table whose snapshots expire, and which files only these name: by reading everything."""

from __future__ import annotations

import contextlib
import random

from pyiceberg.io import FileIO
from pyiceberg.manifest import read_manifest_list
from pyiceberg.table import Table

from imagefeatures.catalog import expired_files, retention, tables
from imagefeatures.settings import Settings
from support.growing import run_file
from support.histories import Killed, killed_before_deletion
from support.relocating import path_of

DAYS = ("2026-11-02", "2026-11-03", "2026-11-04")
KEPT_BEFORE = 4
"""So many snapshots a history keeps at least."""

ALL = 10**6
"""More than a clean-up ever deletes."""


def by_reading_everything(lists: list[str], table: Table) -> tuple[set[str], set[str]]:
    """The same as `only_named_by`, as its first sentence says it, with pyiceberg's own readers."""
    kept = read_all(table.io, [snapshot.manifest_list for snapshot in table.metadata.snapshots])
    expired = read_all(table.io, lists, some_may_be_gone=True)
    files = {file for path in expired.keys() - kept.keys() for file in expired[path]}
    return files.difference(*kept.values()), expired.keys() - kept.keys()


def read_all(io: FileIO, lists: list[str], some_may_be_gone: bool = False) -> dict[str, set[str]]:
    """The data files of each manifest."""
    manifests = {one.manifest_path: one for uri in lists for one in read_manifest_list(io.new_input(uri))}
    found: dict[str, set[str]] = {path: set() for path in manifests}
    for path, manifest in manifests.items():
        with contextlib.suppress(*[FileNotFoundError] * some_may_be_gone):
            found[path] = {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(io)}
    return found


def there(uris: set[str]) -> set[str]:
    return {uri for uri in uris if path_of(uri).exists()}


class History:
    """Publications, returns of what was replaced, ways back to an earlier snapshot, tags; and snapshots that expire."""

    def __init__(self, photos: Table, settings: Settings, seed: int) -> None:
        self.photos, self.settings, self.random = photos, settings, random.Random(seed)
        self.published: list[tuple[str, str, str]] = []
        self.looks = 0

    def publish(self) -> None:
        day, run = self.random.choice(DAYS), f"run-{len(self.published)}"
        self.published.append((day, run_file(self.settings, run, day), run))
        tables.replace_files(self.photos, day, [self.published[-1][1]], run)

    def come_back(self) -> None:
        """A file that was replaced is published again."""
        left = [one for one in self.published if path_of(one[1]).exists()]
        day, uri, run = self.random.choice(left)
        tables.replace_files(self.photos, day, [uri], run)

    def empty(self) -> None:
        tables.replace_files(self.photos, self.random.choice(DAYS), [], "none")

    def go_back(self) -> None:
        """Another program makes an earlier snapshot the current one."""
        self.photos.refresh()
        earlier = self.random.choice(self.photos.metadata.snapshots)
        self.photos.manage_snapshots().set_current_snapshot(snapshot_id=earlier.snapshot_id).commit()

    def tag(self) -> None:
        self.photos.refresh()
        chosen = self.random.choice(self.photos.metadata.snapshots)
        self.photos.manage_snapshots().create_tag(chosen.snapshot_id, f"tag-{chosen.snapshot_id}").commit()

    def untag(self) -> None:
        names = [name for name in self.photos.refresh().metadata.refs if name.startswith("tag-")]
        if names:
            self.photos.manage_snapshots().remove_tag(self.random.choice(names)).commit()

    def expire(self) -> None:
        """Some snapshots expire, mostly the oldest ones; what only they name is as by reading everything, and goes."""
        metadata = self.photos.refresh().metadata
        heads = {ref.snapshot_id for ref in metadata.refs.values()}
        free = [one for one in metadata.snapshots if one.snapshot_id not in heads]
        chosen = free[: max(0, len(metadata.snapshots) - KEPT_BEFORE)]
        if self.random.random() < 0.4:
            chosen = [one for one in free if self.random.random() < 0.4]
        if chosen:
            with self.photos.transaction() as change:
                retention.expire_these(self.photos, change, [one.snapshot_id for one in chosen])
        self.looks += len(self.look())
        if self.random.random() < 0.7:
            self.clean_up(self.random.choice([1, 2, 3, 5, 8, 13, ALL, ALL]))

    def look(self) -> set[str]:
        """The files that only expired snapshots name. After a clean-up that was interrupted some of them are gone."""
        lists = retention._existing(retention._pending(self.photos.refresh().metadata), self.photos)
        files, manifests = expired_files.only_named_by(lists, self.photos)
        true_files, true_manifests = by_reading_everything(lists, self.photos)
        assert there(files) == there(true_files)
        assert manifests == true_manifests
        return files

    def clean_up(self, deletions: int = ALL) -> None:
        """Delete what has expired, and die after so many deletions."""
        with contextlib.suppress(Killed), killed_before_deletion(deletions):
            retention.remove_expired(self.photos, self.settings.lake)


def merge_soon(photos: Table) -> None:
    with photos.transaction() as change:
        change.set_properties({"commit.manifest.min-count-to-merge": "3"})
