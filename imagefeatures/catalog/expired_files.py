"""The files that only expired snapshots name: found from what commits took away and added, at a cost that hardly grows.

A commit marks the files that it takes away as deleted, in a manifest of its own. So the files of an expired snapshot
that may be nobody's any more are those that the commit after it took away. Where no such commit is known, they are all
its files. Where a mark or a manifest is gone, since an earlier clean-up was interrupted, they are all that is left.

A snapshot names what its parent names and what its own commit wrote. So whether a kept snapshot names a manifest is
seen from a few that are read as a whole, and from which commit wrote it; whether one holds a file, from those few and
from what the others' commits added. Read as a whole are those whose parent is not kept, those that do not come right
after it, and the current one. Manifests of other partitions than the files' are passed over.

A table of a thousand partitions has some hundred files in each manifest, and a past of a hundred snapshots some two
hundred manifests. Nearly all of them stay unread, and all where nothing was replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from pyiceberg.expressions.visitors import manifest_evaluator
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.typedef import Record
from pyiceberg.types import StringType
from pyiceberg.utils.concurrent import ExecutorFactory

from imagefeatures.catalog import manifests
from imagefeatures.catalog.file_io import plain_uri
from imagefeatures.catalog.filters import one_of

Manifests = dict[str, ManifestFile]
"""By their URI."""

Files = dict[str, tuple[int, Record]]
"""Data files by their URI: the id of the partition spec by which each lies where it is, and its partition."""


class _Snapshot(NamedTuple):
    """What a manifest list says of its snapshot; its id and its parent's are None where it does not say them."""

    number: int | None
    parent: int | None
    manifests: Manifests

    def wrote(self, manifest: ManifestFile) -> bool:
        """Whether the manifest may be one of this snapshot's own commit."""
        return self.number is None or manifest.added_snapshot_id in (None, self.number)

    @property
    def added(self) -> Manifests:
        """The manifests in which its own commit may have added files."""
        return {path: one for path, one in self.manifests.items() if self.wrote(one) and one.has_added_files()}


def only_named_by(lists: list[str], table: Table) -> tuple[set[str], set[str]]:
    """The data files and the manifests of these manifest lists that no snapshot of the table names.

    What a program took away without a mark, and manifests of which no commit says that it wrote them, are not among
    them: they stay until upkeep. Some may be gone already. Raises FileNotFoundError where a file is gone that a
    snapshot names, or one of the lists.
    """
    io, each = table.io, ExecutorFactory.get_or_create().map
    kept = {snapshot.snapshot_id: snapshot for snapshot in table.metadata.snapshots}
    current = table.metadata.current_snapshot_id
    as_a_whole = {number for number, one in kept.items() if number == current or not _follows(one, kept)}
    expired = list(each(partial(_read, io), lists))
    whole = list(each(partial(_read, io), [kept[number].manifest_list for number in as_a_whole]))
    held = {path: manifest for snapshot in whole for path, manifest in snapshot.manifests.items()}
    only = {
        path: manifest
        for snapshot in expired
        for path, manifest in snapshot.manifests.items()
        if path not in held and manifest.added_snapshot_id is not None and manifest.added_snapshot_id not in kept
    }
    try:
        files = _together(each(partial(_taken_away, io, [*whole, *expired], only), expired))
    except FileNotFoundError:  # an earlier clean-up was interrupted, and has taken some of them already
        files = _together(each(partial(_live_if_there, io), only.values()))
    if files:
        others = [one.manifest_list for number, one in kept.items() if number not in as_a_whole]
        for snapshot in each(partial(_read, io), others):
            held |= snapshot.added
        may_name = _may_name(table, files)
        for found in each(partial(live, io), filter(may_name, held.values())):
            for uri in found & files.keys():
                del files[uri]
    return set(files), set(only)


def manifests_of(io: FileIO, manifest_list: str) -> Manifests:
    """The manifests of a snapshot."""
    return _read(io, manifest_list).manifests


def live(io: FileIO, manifest: ManifestFile) -> set[str]:
    """The data files that a manifest names."""
    return set(_live(io, manifest))


def _live(io: FileIO, manifest: ManifestFile) -> Files:
    return _placed(manifest, manifests.live(io, manifest))


def _live_if_there(io: FileIO, manifest: ManifestFile) -> Files:
    """The same; none of a manifest that an earlier clean-up has deleted."""
    try:
        return _live(io, manifest)
    except FileNotFoundError:
        return {}


def _placed(manifest: ManifestFile, files: Iterable[DataFile]) -> Files:
    return {plain_uri(file.file_path): (manifest.partition_spec_id, file.partition) for file in files}


def _together(found: Iterable[Files]) -> Files:
    return {uri: place for files in found for uri, place in files.items()}


def _may_name(table: Table, files: Files) -> Callable[[ManifestFile], bool]:
    """Whether a manifest may name one of these files, by the partitions that its list says that it has.

    Only where they are by one text, as in this package's own tables. One that says what is deleted always may: a file
    of deletion vectors is in several partitions at once.
    """
    number, *further = {number for number, _ in files.values()}
    spec = table.specs().get(number)
    fields = spec.partition_type(table.schema()).fields if spec else ()
    keys = {partition[0] if len(partition) == 1 else None for _, partition in files.values()}
    if further or [field.field_type for field in fields] != [StringType()] or None in keys:
        return lambda _: True
    evaluate = manifest_evaluator(table.specs()[number], table.schema(), one_of(fields[0].name, set(map(str, keys))))

    def may_name(manifest: ManifestFile) -> bool:
        alike = manifest.content == ManifestContent.DATA and manifest.partition_spec_id == number
        return not alike or evaluate(manifest)

    return may_name


def _read(io: FileIO, manifest_list: str) -> _Snapshot:
    head, named = manifests.read_list(io, manifest_list)
    number, parent = (_number(head.get(name)) for name in ("snapshot-id", "parent-snapshot-id"))
    return _Snapshot(number, parent, {plain_uri(manifest.manifest_path): manifest for manifest in named})


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _follows(snapshot: Snapshot, kept: dict[int, Snapshot]) -> bool:
    """Whether a snapshot's parent is kept, and no other commit came between the two.

    A program can make a snapshot whose parent is an earlier one than that from which it takes its manifests.
    """
    parent = None if snapshot.parent_snapshot_id is None else kept.get(snapshot.parent_snapshot_id)
    if parent is None or parent.sequence_number is None:
        return False
    return snapshot.sequence_number == parent.sequence_number + 1


def _taken_away(io: FileIO, known: list[_Snapshot], only: Manifests, snapshot: _Snapshot) -> Files:
    """The files of an expired snapshot that may be nobody's now. only: manifests that expired ones alone name.

    Raises FileNotFoundError where a manifest is gone.
    """
    after = [one for one in known if one.parent is not None and one.parent == snapshot.number]
    if not after:
        return _together(_live(io, one) for path, one in snapshot.manifests.items() if path in only)
    return _together(
        _placed(manifest, manifests.taken_away(io, manifest))
        for one in after
        for manifest in one.manifests.values()
        if one.wrote(manifest) and manifest.deleted_files_count != 0
    )
