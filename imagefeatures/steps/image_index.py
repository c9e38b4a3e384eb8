"""image_index: which files of a table may hold a run's images, so that the search of reuse opens no others.

Of each features file the first eight bytes of every image_id are kept beside the tables, in segments of many files:

<lake>/known/images/<table>/index.json       names the segments, what files each is of, and its digest
                           /<digest>.bin     a segment: eight bytes an image, file after file

A file of a table never changes, so a search reads only the files that are new since the last one. Nothing here is
believed without its digest, and no vector is found by it alone: what may match is compared in the rows themselves.
What is lost or damaged is made again from the files. Eight bytes of an id are a trace of the image, so `forget` deletes
all of it, and an index that was made before something was forgotten is never used.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import layout, read, sealed, storage
from imagefeatures.errors import AuditFailed
from imagefeatures.forget import deny
from imagefeatures.plan import Run
from imagefeatures.shards import read_output
from imagefeatures.steps import VALIDATE
from imagefeatures.steps.reuse import UNREADABLE, KnownFile

FEW = 8
"""So many files are opened without an index: that is as quick."""

TOGETHER = 64
"""So many files become a segment, or fewer where they have LARGEST_GROUP bytes."""

LARGEST_GROUP = 1 << 30

SEGMENTS = 16
"""With more segments below half of LARGEST_SEGMENT these are merged."""

LARGEST_SEGMENT = 1 << 20
"""In images: 8 MB. So many are in memory at a time, or those of one larger file."""

_STORED = np.dtype(">u8")
_NONE = np.empty(0, "u8")

Spread = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]
"""Does the work for each element, in order: one after the other, or on a cluster."""


class _File(NamedTuple):
    """A file of a table. path: in the lake, or the URI of one outside it. size: in bytes."""

    path: str
    size: int


class _Segment(NamedTuple):
    """files: in the order of their ids. counts: how many ids of each there are. sha256: of the segment's bytes."""

    sha256: str
    files: list[_File]
    counts: list[int]


def candidates(
    run: Run, files: Sequence[KnownFile], todo: Sequence[int], spread: Spread
) -> list[tuple[int, KnownFile]]:
    """The files that may hold an image of these shards, each with its number. files: `reuse.known_files`.

    Makes the index whole for the next search. Raises StoreError or StoreRefused, AuditFailed where what validate wrote
    has changed.
    """
    numbered = list(enumerate(files))
    if len(files) <= FEW or deny.is_pending(run.lake):
        return numbered
    wanted = np.unique(np.concatenate([_NONE, *spread(partial(_of_shard, run), todo)]))
    by_table: dict[str, set[_File]] = defaultdict(set)
    for file in files:
        by_table[file.table or run.tables[0]].add(_file(run.lake, file))
    holding = {
        (table, file)
        for table, of_table in by_table.items()
        for file in _Index(run.lake, table).holding(wanted, of_table, spread)
    }
    return [(n, file) for n, file in numbered if (file.table or run.tables[0], _file(run.lake, file)) in holding]


def prefixes(image_ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """The first eight bytes of each SHA-256 as a number, uint64 [n]. What is no SHA-256 is left out.

    >>> [f"{number:x}" for number in prefixes(pa.array(["0123456789abcdef" * 4, None, "x"]))]
    ['123456789abcdef']
    """
    image_ids = image_ids.cast(pa.string())
    whole = image_ids.filter(pc.match_substring_regex(image_ids, "^[0-9a-f]{64}$"))
    return np.frombuffer(bytes.fromhex("".join(pc.utf8_slice_codeunits(whole, 0, 16).to_pylist())), _STORED).astype(
        "u8"
    )


def _of_shard(run: Run, shard: int) -> np.ndarray:
    """Of the images that validate passed."""
    return prefixes(read_output(run.layout, VALIDATE, shard, columns=["image_id"])["image_id"])


def _file(lake: str, file: KnownFile) -> _File:
    return _File(file.uri.removeprefix(f"{lake}/"), file.size)  # a lake that is moved keeps its index


class _Index:
    """The index of a table. There is one file for each table that all runs may write: the last one counts."""

    def __init__(self, lake: str, table: str) -> None:
        self._lake, self._folder = lake, layout.image_index(lake, table)
        self._summary = f"{self._folder}/index.json"

    def holding(self, wanted: np.ndarray, files: set[_File], spread: Spread) -> set[_File]:
        """Those of the files that hold one of these prefixes, or of which it cannot be told. wanted: sorted."""
        forgotten = deny.state(self._lake)
        kept = self._kept(forgotten)
        found, read = self._search(kept, wanted)
        missing = sorted(files - {file for segment in read for file in segment.files})
        new = spread(partial(_written, self._lake, self._folder), list(_groups(missing)))
        found_new, read_new = self._search(new, wanted)
        indexed = {file for segment in (*read, *read_new) for file in segment.files}
        if missing or len(read) < len(kept):
            self._keep([*read, *read_new], files, forgotten)
        return ((found | found_new) & files) | (files - indexed)

    def _kept(self, forgotten: str) -> list[_Segment]:
        """The segments that there are; none where the index is not what this version wrote since that was forgotten."""
        try:
            content = sealed.decode(self._summary, storage.read(self._summary))
            if content["forgotten"] == forgotten:
                return [
                    _Segment(sha256, [_File(*file) for file in files], counts)
                    for sha256, files, counts in content["segments"]
                ]
        except (storage.ObjectMissing, AuditFailed, LookupError, TypeError, ValueError):
            pass
        storage.delete_folder(self._folder)
        return []

    def _search(self, segments: Iterable[_Segment], wanted: np.ndarray) -> tuple[set[_File], list[_Segment]]:
        """The files of the segments that hold one of the prefixes; and those of the segments that could be read."""
        found: set[_File] = set()
        whole = []
        for segment in segments:
            if (ids := self._ids(segment)) is None:
                continue
            whole.append(segment)
            if len(wanted) and len(ids):
                places = np.searchsorted(wanted, ids)
                hits = np.flatnonzero(wanted[np.minimum(places, len(wanted) - 1)] == ids)
                ends = np.cumsum(segment.counts)
                found.update(segment.files[at] for at in np.unique(np.searchsorted(ends, hits, side="right")))
        return found, whole

    def _ids(self, segment: _Segment) -> np.ndarray | None:
        """The prefixes of a segment, in its order; None where it is gone or damaged."""
        try:
            data = storage.read(_segment_uri(self._folder, segment.sha256))
        except storage.ObjectMissing:
            return None
        if hashlib.sha256(data).hexdigest() != segment.sha256:
            return None
        return np.frombuffer(data, _STORED).astype("u8")

    def _keep(self, segments: list[_Segment], live: set[_File], forgotten: str) -> None:
        """Write down which segments there are, merged where they are many. live: the files that are searched today."""
        segments = [one for one in segments if one.files]  # none of a group may have been readable
        small = [
            one
            for one in segments
            if 2 * sum(one.counts) < LARGEST_SEGMENT or 2 * len(live & {*one.files}) < len(one.files)
        ]
        if len(small) > SEGMENTS:
            segments = [*(one for one in segments if one not in small), *self._merged(small, live)]
        content = {"forgotten": forgotten, "segments": [[one.sha256, one.files, one.counts] for one in segments]}
        storage.write(self._summary, sealed.encode(content))
        if len(small) > SEGMENTS:
            there = {_segment_uri(self._folder, one.sha256) for one in segments}
            for stored in list(storage.list_objects(self._folder)):
                if stored.uri.endswith(".bin") and stored.uri not in there:
                    storage.delete(stored.uri)
        # Only now: a request to forget that began meanwhile has deleted what there was, and this may have come after.
        if deny.state(self._lake) != forgotten or deny.is_pending(self._lake):
            storage.delete_folder(self._folder)

    def _merged(self, segments: list[_Segment], live: set[_File]) -> Iterator[_Segment]:
        """The ids of the live files in few segments."""
        left = set(live)
        together: list[tuple[_File, np.ndarray]] = []
        for segment in segments:
            ids = self._ids(segment)
            if ids is None:  # deleted a moment ago, by another search that merged: its files are read again
                continue
            for file, own in zip(segment.files, np.split(ids, np.cumsum(segment.counts)[:-1]), strict=True):
                if file in left:
                    left.remove(file)
                    together.append((file, own))
            if sum(len(own) for _, own in together) >= LARGEST_SEGMENT:
                yield _write(self._folder, together)
                together = []
        if together:
            yield _write(self._folder, together)


def _groups(files: Sequence[_File]) -> Iterator[list[_File]]:
    """The files in groups that become a segment each."""
    group: list[_File] = []
    for file in files:
        if group and (len(group) == TOGETHER or sum(one.size for one in group) + file.size > LARGEST_GROUP):
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def _written(lake: str, folder: str, files: Sequence[_File]) -> _Segment:
    """The segment of files, of which those are left out that cannot be read: they are opened by each search."""
    together = []
    for file in files:
        uri = file.path if "://" in file.path else f"{lake}/{file.path}"
        try:
            ids = [prefixes(batch["image_id"]) for _, batch in read.file_batches(uri, file.size, ["image_id"])]
        except UNREADABLE:
            continue
        together.append((file, np.concatenate([_NONE, *ids])))
    return _write(folder, together)


def _write(folder: str, together: Sequence[tuple[_File, np.ndarray]]) -> _Segment:
    data = b"".join(own.astype(_STORED).tobytes() for _, own in together)
    sha256 = hashlib.sha256(data).hexdigest()
    storage.write(_segment_uri(folder, sha256), data)
    return _Segment(sha256, [file for file, _ in together], [len(own) for _, own in together])


def _segment_uri(folder: str, sha256: str) -> str:
    return f"{folder}/{sha256[:32]}.bin"
