"""index_segments: the keys of a table's files, eight bytes for each row, and the search for the files that hold some.

<folder>/index.json       names the segments, what files each is of, and its digest
        /<digest>.bin     a segment: eight bytes a row, file after file

A file of a table never changes, so a search reads only the files that are new since the last one. Of several files
that hold the same, as of a source that is listed whole each day, the newest is offered alone. Segments of older files
are read as long as something has not been found: where anything is new, all of them. Nothing here is believed without
its digest; what is lost or damaged is made again from the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from imagefeatures import read, sealed, storage
from imagefeatures.errors import AuditFailed
from imagefeatures.forget import deny
from imagefeatures.steps.reuse import UNREADABLE

TOGETHER = 64
"""So many files become a segment, or fewer where they have LARGEST_GROUP bytes."""

LARGEST_GROUP = 1 << 30

SEGMENTS = 16
"""With more segments below half of LARGEST_SEGMENT these are merged."""

LARGEST_SEGMENT = 1 << 20
"""In rows: 8 MB. So many are in memory at a time, or those of one larger file."""

VERSION = 2
"""Of the index: one of another version is deleted and made anew."""

STORED = np.dtype(">u8")
NONE = np.empty(0, "u8")

Spread = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]
"""Does the work for each element, in order: one after the other, or on a cluster."""

Keys = Callable[[pa.Table], np.ndarray]
"""The keys of a table's rows, uint64 [n]; a row may have none."""


class File(NamedTuple):
    """A file of a table. path: in the lake, or the URI of one outside it. size: in bytes."""

    path: str
    size: int


class _Entry(NamedTuple):
    """A file in a segment. rows: how many of its keys there are. oldest, newest: the run_ids of its rows."""

    file: File
    rows: int
    oldest: str
    newest: str


class _Segment(NamedTuple):
    """entries: in the order of their keys. sha256: of the segment's bytes."""

    sha256: str
    entries: list[_Entry]


class Wanted(NamedTuple):
    """What is looked for. keys: uint64 [n], sorted. what: the number of what each is a key of; it may have several."""

    keys: np.ndarray
    what: np.ndarray

    @classmethod
    def of(cls, alternatives: Sequence[Sequence[np.ndarray]]) -> Wanted:
        """Of lists of arrays of keys: in each list place by place the keys of one thing, by each of which it is found.

        >>> of_two, of_one = [np.array([7, 3], "u8"), np.array([1, 2], "u8")], [np.array([5], "u8")]
        >>> [array.tolist() for array in Wanted.of([of_two, of_one])]
        [[1, 2, 3, 5, 7], [0, 1, 1, 2, 0]]
        """
        keys: list[np.ndarray] = [NONE]
        what: list[np.ndarray] = [np.empty(0, np.int64)]
        before = 0
        for arrays in alternatives:
            keys += arrays
            what += [np.arange(before, before + len(array)) for array in arrays]
            before += len(arrays[0])
        together = np.concatenate(keys)
        order = np.argsort(together, kind="stable")
        return cls(together[order], np.concatenate(what)[order])


class Index:
    """The index of a table, in a folder. All runs may write its summary: the last one counts.

    columns: of the table's files, of which `keys` makes the keys.
    """

    def __init__(self, lake: str, folder: str, columns: Sequence[str], keys: Keys) -> None:
        self._lake, self._folder, self._columns, self._keys = lake, folder, columns, keys
        self._summary = f"{folder}/index.json"

    def holding(self, wanted: Wanted, files: set[File], spread: Spread) -> set[File]:
        """Those of the files that hold something of this newest, or of which it cannot be told."""
        forgotten = deny.state(self._lake)
        segments = self._kept(forgotten)
        if missing := files - _files(segments):
            segments = [*segments, *self._written(missing, spread)]
        found, damaged = self._search(segments, wanted, files)
        if damaged:
            again = self._written(files & _files(damaged), spread)
            segments = [*(one for one in segments if one not in damaged), *again]
            found, again_damaged = self._search(segments, wanted, files)
            segments = [one for one in segments if one not in again_damaged]
        if missing or damaged:
            self._keep(segments, files, forgotten)
        return found | (files - _files(segments))

    def _kept(self, forgotten: str) -> list[_Segment]:
        """The segments that there are; none where the index is not what this version wrote since that was forgotten."""
        try:
            content = sealed.decode(self._summary, storage.read(self._summary))
            if (content["version"], content["forgotten"]) == (VERSION, forgotten):
                return [
                    _Segment(sha256, [_Entry(File(*file), *of_file) for file, *of_file in entries])
                    for sha256, entries in content["segments"]
                ]
        except (storage.ObjectMissing, AuditFailed, LookupError, TypeError, ValueError):
            pass
        storage.delete_folder(self._folder)
        return []

    def _search(
        self, segments: Sequence[_Segment], wanted: Wanted, files: set[File]
    ) -> tuple[set[File], list[_Segment]]:
        """Those of the files that hold something of which no newer file has a row; and the segments that are damaged.

        A file of rows of many runs, as compaction makes, may be offered beside newer ones.
        """
        order = {run_id: at for at, run_id in enumerate(sorted(_run_ids(segments)))}
        newest_first = sorted(segments, key=lambda one: max(order[entry.newest] for entry in one.entries), reverse=True)
        keys, what = wanted
        best = np.full(what.max(initial=-1) + 1, -1)  # of each thing the oldest row that the newest file can have
        found: set[File] = set()
        damaged = []
        for segment in newest_first:
            newest = np.array([order[entry.newest] for entry in segment.entries])
            if not len(keys) or best.min() > newest.max():
                break
            if (ids := self._ids(segment)) is None:
                damaged.append(segment)
                continue
            oldest = np.array([order[entry.oldest] for entry in segment.entries])
            searched = np.array([entry.file in files for entry in segment.entries])
            at = np.minimum(np.searchsorted(keys, ids), len(keys) - 1)
            hits = np.flatnonzero(keys[at] == ids)
            of = np.searchsorted(np.cumsum([entry.rows for entry in segment.entries]), hits, side="right")
            at, of = what[at[hits]][searched[of]], of[searched[of]]
            np.maximum.at(best, at, oldest[of])
            found.update(segment.entries[n].file for n in np.unique(of[newest[of] >= best[at]]))
        return found, damaged

    def _ids(self, segment: _Segment) -> np.ndarray | None:
        """The keys of a segment, in its order; None where it is gone or damaged."""
        try:
            data = storage.read(_segment_uri(self._folder, segment.sha256))
        except storage.ObjectMissing:
            return None
        if hashlib.sha256(data).hexdigest() != segment.sha256:
            return None
        return np.frombuffer(data, STORED).astype("u8")

    def _written(self, files: Iterable[File], spread: Spread) -> list[_Segment]:
        """Segments of files, without those that cannot be read."""
        work = partial(_segment, self._lake, self._folder, self._columns, self._keys)
        of_groups: list[_Segment] = spread(work, list(_groups(sorted(files))))
        return [segment for segment in of_groups if segment.entries]

    def _keep(self, segments: list[_Segment], live: set[File], forgotten: str) -> None:
        """Write down which segments there are, merged where they are many. live: the files that are searched today."""
        small = [
            one
            for one in segments
            if 2 * _rows(one) < LARGEST_SEGMENT or 2 * len(live & _files([one])) < len(one.entries)
        ]
        if len(small) > SEGMENTS:
            segments = [*(one for one in segments if one not in small), *self._merged(small, live)]
        content = {
            "version": VERSION,
            "forgotten": forgotten,
            "segments": [[one.sha256, one.entries] for one in segments],
        }
        storage.write(self._summary, sealed.encode(content))
        if len(small) > SEGMENTS:
            there = {_segment_uri(self._folder, one.sha256) for one in segments}
            for stored in list(storage.list_objects(self._folder)):
                if stored.uri.endswith(".bin") and stored.uri not in there:
                    storage.delete(stored.uri)
        # Only now: a request to forget that began meanwhile has deleted what there was, and this may have come after.
        if deny.state(self._lake) != forgotten or deny.is_pending(self._lake):
            storage.delete_folder(self._folder)

    def _merged(self, segments: list[_Segment], live: set[File]) -> Iterator[_Segment]:
        """The keys of the live files in few segments."""
        left = set(live)
        together: list[tuple[_Entry, np.ndarray]] = []
        for segment in segments:
            ids = self._ids(segment)
            if ids is None:  # deleted a moment ago, by another search that merged: its files are read again
                continue
            ends = np.cumsum([entry.rows for entry in segment.entries])
            for entry, own in zip(segment.entries, np.split(ids, ends[:-1]), strict=True):
                if entry.file in left:
                    left.remove(entry.file)
                    together.append((entry, own))
            if sum(len(own) for _, own in together) >= LARGEST_SEGMENT:
                yield _write(self._folder, together)
                together = []
        if together:
            yield _write(self._folder, together)


def _files(segments: Iterable[_Segment]) -> set[File]:
    return {entry.file for segment in segments for entry in segment.entries}


def _run_ids(segments: Iterable[_Segment]) -> set[str]:
    return {run_id for segment in segments for entry in segment.entries for run_id in (entry.oldest, entry.newest)}


def _rows(segment: _Segment) -> int:
    return sum(entry.rows for entry in segment.entries)


def _groups(files: Sequence[File]) -> Iterator[list[File]]:
    """The files in groups that become a segment each."""
    group: list[File] = []
    for file in files:
        if group and (len(group) == TOGETHER or sum(one.size for one in group) + file.size > LARGEST_GROUP):
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def _segment(lake: str, folder: str, columns: Sequence[str], keys: Keys, files: Sequence[File]) -> _Segment:
    """The segment of files, of which those are left out that cannot be read: they are opened by each search."""
    together = []
    for file in files:
        uri = file.path if "://" in file.path else f"{lake}/{file.path}"
        own = [NONE]
        run_ids: set[str] = set()
        try:
            for _, batch in read.file_batches(uri, file.size, [*columns, "run_id"]):
                table = pa.Table.from_batches([batch])
                own.append(keys(table))
                run_ids |= set(table["run_id"].cast(pa.string()).fill_null("").unique().to_pylist())
        except UNREADABLE:
            continue
        entry = _Entry(file, sum(map(len, own)), min(run_ids, default=""), max(run_ids, default=""))
        together.append((entry, np.concatenate(own)))
    return _write(folder, together)


def _write(folder: str, together: Sequence[tuple[_Entry, np.ndarray]]) -> _Segment:
    data = b"".join(own.astype(STORED).tobytes() for _, own in together)
    sha256 = hashlib.sha256(data).hexdigest()
    storage.write(_segment_uri(folder, sha256), data)
    return _Segment(sha256, [entry for entry, _ in together])


def _segment_uri(folder: str, sha256: str) -> str:
    return f"{folder}/{sha256[:32]}.bin"
