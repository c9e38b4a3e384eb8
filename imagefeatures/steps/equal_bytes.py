"""equal_bytes: images of a run with the same bytes are decoded once, and their vectors are computed once.

Rows of one shard with the same image_id share what is computed for the first of them. Of an image that lies in several
shards, one shard takes the rows of the others. Which one is settled between validate and resize, once for a run, and
written down for every shard that gives or takes a row. So a shard needs no other shard's results: each can be done, and
done again, by itself.

A row that has moved is published by the shard that has taken it, with its own URI, label, key and ETag. The audit holds
the moves of all shards against each other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from imagefeatures import lanes, manifest, schemas, storage
from imagefeatures.errors import AuditFailed
from imagefeatures.plan import Run
from imagefeatures.shards import read_output
from imagefeatures.steps import VALIDATE
from imagefeatures.storage.durable import write_failed
from imagefeatures.summaries import Search, Summary

MOVES = schemas.VERDICT.append(pa.field("taker", pa.int64(), False))
"""The moves of a shard: the rows that it gives, and those that it takes. taker: the shard that takes the row."""

MOST_ROWS = 8
"""The most rows of one image that one shard holds after a move.

A placeholder that is half of a crawl would otherwise make one shard that exceeds a worker's memory.
"""

PREFIX = "<u8"
"""So much of a SHA-256 is compared in the search. Two images with the same beginning may lie in one shard then, and are
told apart there by all of it."""


def search(run: Run) -> Search:
    """The search for images that lie in several shards."""
    return Search(run.layout.moves_summary, run.layout.moves, MOVES)


def settle_moves(run: Run, count: int, todo: Sequence[int]) -> None:
    """Write down which rows another shard computes. Done once for a run, after validate.

    count: how many shards the run has. todo: those that resize has not done yet. Where it has done some before anything
    was settled, as an earlier version may have, no row moves. Reads what validate has found of each shard, and of those
    that give rows twice; holds 16 bytes an image, and some 100 more of one that comes again. Raises StoreRefused when
    the folder of temporary files has no room.
    """
    of_run = search(run)
    if not todo or run.dataset.duplicates == "reject" or of_run.has_ended():
        return
    if len(todo) < count:
        of_run.end([])
        return
    with ThreadPoolExecutor(8) as pool:  # each request to an object store takes milliseconds
        images, starts = np.empty(manifest.read_listing(run).objects, PREFIX), [0]
        for first in range(0, count, 64):  # a few at a time, since they do not wait to be taken
            for of_shard in pool.map(partial(_images, run), range(first, min(count, first + 64))):
                starts.append(starts[-1] + len(of_shard))
                images[starts[-2] : starts[-1]] = of_shard
    images = images[: starts[-1]]
    repeated = _repeated(images)
    shards = (np.searchsorted(starts, repeated, "right") - 1).astype(np.int32)
    taken_by = takers(images[repeated], shards)
    moved = taken_by != shards
    moves = _Moves(repeated[moved] - np.array(starts)[shards[moved]], shards[moved], taken_by[moved])
    del images
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        try:
            rows = _moved_rows(run, moves, Path(folder)) if len(moves.rows) else iter(())
            of_run.end(
                of_run.write(int(shard), (tuple(row[name] for name in MOVES.names) for row in of_shard))
                for shard, of_shard in groupby(rows, key=lambda row: row["shard"])
            )
        except OSError as error:
            raise write_failed(folder, error) from error


class _Moves(NamedTuple):
    """The rows that move, in the order of their shards. rows: in the file of `givers`, int64 [n]; takers: int32 [n]."""

    rows: np.ndarray
    givers: np.ndarray
    takers: np.ndarray


def _repeated(images: np.ndarray) -> np.ndarray:
    """The rows of images that may come more than once: int64 [n], ascending. images: PREFIX.

    Half of each is enough to leave out nearly all others.
    """
    halves = images.view("<u4")[::2]
    ordered = np.sort(halves)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    if not len(repeated):
        return np.zeros(0, np.int64)
    places = np.minimum(np.searchsorted(repeated, halves), len(repeated) - 1)
    return np.flatnonzero(repeated[places] == halves)


def takers(images: np.ndarray, shards: np.ndarray) -> np.ndarray:
    """The shard that computes each row, int32 [n]: its own one, or one that has the same image.

    images: the beginnings of their hashes [n], as numbers or bytes. shards: int32 [n], ascending. Of the shards that
    have an image its hash chooses one, so that no shard gets more than its part.

    >>> takers(np.array([b"a", b"b", b"b", b"c", b"a"]), np.array([0, 0, 0, 1, 1], np.int32)).tolist()
    [1, 0, 0, 1, 1]
    """
    if not len(images):
        return shards
    order = np.argsort(images, kind="stable")  # rows of an image stay in the order of their shards
    sorted_images, sorted_shards = images[order], shards[order]
    new_image = np.append(True, sorted_images[1:] != sorted_images[:-1])
    firsts = np.flatnonzero(new_image | np.append(True, sorted_shards[1:] != sorted_shards[:-1]))
    counts = np.diff(firsts, append=len(order))
    starts = np.flatnonzero(new_image[firsts])
    sizes, rows = np.diff(starts, append=len(firsts)), np.add.reduceat(counts, starts)
    turns = sorted_images[firsts[starts]].view(np.uint8)[:: images.itemsize] % sizes  # by the first byte of the hash
    chosen = sorted_shards[firsts[starts + turns]]
    taken = np.where(np.repeat(rows <= MOST_ROWS, rows), np.repeat(chosen, rows), sorted_shards)
    for image in np.flatnonzero((sizes > 1) & (rows > MOST_ROWS)).tolist():
        taker, held, size = -1, MOST_ROWS, sizes[image]
        for pair in (starts[image] + (turns[image] + index) % size for index in range(size)):
            first, count = firsts[pair], counts[pair]
            if count >= MOST_ROWS:
                continue
            if held + count > MOST_ROWS:
                taker, held = sorted_shards[first], 0
            taken[first : first + count] = taker
            held += count
    taken_by = np.empty_like(shards)
    taken_by[order] = taken
    return taken_by


def moves_of(run: Run) -> Summary:
    """The files of moves, by shard; none where nothing was settled. Raises AuditFailed when it has changed since."""
    try:
        return search(run).ended()
    except storage.ObjectMissing:
        return Summary({})


class Moved(NamedTuple):
    """(uri, taker) of the rows that a shard takes, in order of URI, and of those that it gives."""

    taken: list[tuple[str, int]]
    given: list[tuple[str, int]]


def moved(moves: Summary, shard: int) -> Moved:
    """What moves to a shard, and what from it. moves: `moves_of` the run."""
    rows = moves.read(shard, MOVES)
    rows = list(zip(rows["uri"].to_pylist(), rows["taker"].to_pylist(), strict=True))
    return Moved([row for row in rows if row[1] == shard], [row for row in rows if row[1] != shard])


def to_compute(run: Run, shard: int, verdicts: pa.Table) -> pa.Table:
    """The rows that a shard computes: schemas.VERDICT, the first row of each image before all others.

    verdicts: of the shard. Of its own rows those that it gives are left out. A row that it takes is never the first:
    raises AuditFailed when validate was done again since, and now finds otherwise.
    """
    moves = moves_of(run).read(shard, MOVES)
    if moves.num_rows:
        takes = moves["taker"].to_numpy() == shard
        given = set(moves.filter(pa.array(~takes))["uri"].to_pylist())
        own = pa.array([uri not in given for uri in verdicts["uri"].to_pylist()], pa.bool_())
        verdicts = verdicts.filter(own)
        taken = moves.filter(pa.array(takes)).select(verdicts.column_names).cast(verdicts.schema)
        if not set(taken["image_id"].to_pylist()) <= set(verdicts["image_id"].to_pylist()):
            raise AuditFailed(f"{run.layout.moves_summary}: shard {shard} takes images that it lacks; start a new run")
        verdicts = pa.concat_tables([verdicts, taken])
    _, firsts = np.unique(verdicts["image_id"].to_numpy(), return_index=True)
    if len(firsts) == verdicts.num_rows:
        return verdicts
    first = np.zeros(verdicts.num_rows, bool)
    first[firsts] = True
    return pa.concat_tables([verdicts.filter(pa.array(first)), verdicts.filter(pa.array(~first))])


def _images(run: Run, shard: int) -> np.ndarray:
    """PREFIX of each image that validate passed, in the order of its file."""
    hashes = read_output(run.layout, VALIDATE, shard, columns=["image_id"])["image_id"].to_pylist()
    characters = 2 * np.dtype(PREFIX).itemsize
    return np.frombuffer(bytes.fromhex("".join(image[:characters] for image in hashes)), PREFIX)


def _moved_rows(run: Run, moves: _Moves, folder: Path) -> Iterator[dict[str, Any]]:
    """MOVES of all shards, each row for the shard that gives it and for the one that takes it: in order of `shard`.

    folder: for temporary files.
    """
    givers, starts = np.unique(moves.givers, return_index=True)
    parts = [slice(start, end) for start, end in zip(starts, [*starts[1:], len(moves.givers)], strict=True)]

    def batches() -> Iterator[pa.RecordBatch]:
        for giver, part in zip(givers.tolist(), parts, strict=True):
            verdicts = read_output(run.layout, VALIDATE, giver)
            of_shard = verdicts.take(pa.array(moves.rows[part]))
            taken = of_shard.append_column(MOVES.field("taker"), pa.array(moves.takers[part], pa.int64()))
            yield from 2 * taken.combine_chunks().to_batches()

    wanted_by = np.concatenate([of_part for part in parts for of_part in (moves.takers[part], moves.givers[part])])
    yield from lanes.sorted_rows(batches(), wanted_by, folder)
