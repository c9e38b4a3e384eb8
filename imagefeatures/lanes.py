"""Shards of URLs: cut by host, so that the limits of a host hold in the whole run, whoever works on it.

A host that fits into one shard is in no other one. A larger host has shards of its own, which are one lane: shards of
one lane are never worked on at the same time. So a host is asked by one worker at a time, with all that its limits
allow, and no worker has to know of the others.

The rows of a listing are sorted outside of memory: of each only a hash, a weight and a shard are held.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from imagefeatures.sources import http

SORTED_ROWS = 50_000
"""About so many rows are sorted in memory at a time."""

MOST_FILES = 200
"""The most temporary files that are open at a time."""

NO_HOST = 0

_PLAIN = re.compile(r"https?://([a-z0-9][a-z0-9.-]*)(?::[0-9]+)?(?:[/?#]|$)")
"""A URL whose host stands in it as it is used. Any other one is parsed, which takes ten times as long."""


@dataclass(frozen=True)
class Cut:
    """shards: int32 [rows], the shard of each row of the listing. lanes: the lane of each shard, in ascending order."""

    shards: np.ndarray
    lanes: Sequence[int]


class Hosts:
    """The host of each row of a listing, as a hash, and its weight: 16 bytes a row.

    >>> hosts = Hosts()
    >>> for uri in ("http://b.org/1", "http://a.org/1", "http://b.org/2"):
    ...     hosts.add(uri, 10)
    >>> hosts.cut(2, most_rows=9, most_weight=99).shards.tolist()
    [0, 1, 0]
    """

    def __init__(self) -> None:
        self._hashes = array("q")
        self._weights = array("q")

    def add(self, uri: str | None, weight: int) -> None:
        """Add the next row. uri: None for one that is asked of no host. weight: in bytes."""
        host = _host_of(uri) if uri else ""
        digest = blake2b(host.encode(), digest_size=8).digest()
        self._hashes.append(int.from_bytes(digest, signed=True) if host else NO_HOST)
        self._weights.append(weight)

    def __bool__(self) -> bool:
        return bool(np.frombuffer(self._hashes, np.int64).any()) if self._hashes else False

    def cut(self, wanted: int, most_rows: int, most_weight: int) -> Cut:
        """Cut the rows into about `wanted` shards of similar weight and count: those of large hosts first.

        most_rows, most_weight: of a shard. Only a row that is heavier by itself exceeds the weight.
        """
        hashes, weights = np.frombuffer(self._hashes, np.int64), np.frombuffer(self._weights, np.int64)
        order = np.argsort(hashes, kind="stable")  # a host's rows stay in the order of the listing
        ordered = hashes[order]
        ends = np.append(ordered[1:] != ordered[:-1], True) | (ordered == NO_HOST)
        firsts = np.append(0, np.flatnonzero(ends)[:-1] + 1)
        del ordered, ends
        whole = len(order), int(weights.sum())
        hosts = _Units(np.diff(firsts, append=len(order)), np.add.reduceat(weights[order], firsts), whole)
        share = 2 / wanted
        large = (hosts.rows > 1) & (
            (hosts.rows > most_rows) | (hosts.weights > most_weight) | (hosts.shares > share * 1.001)
        )
        shards = np.empty(len(order), np.int32)
        lanes: list[int] = []
        for lane, host in enumerate(np.flatnonzero(large).tolist()):
            own = order[firsts[host] : firsts[host] + hosts.rows[host]]
            numbers = _Units(np.ones_like(own), weights[own], whole).cut(share, most_rows, most_weight)
            shards[own] = numbers + len(lanes)
            lanes += [lane] * (int(numbers[-1]) + 1)
        if not large.all():
            small = _Units(hosts.rows[~large], hosts.weights[~large], whole)
            numbers = small.cut(share, most_rows, most_weight)
            shards[order[np.repeat(~large, hosts.rows)]] = np.repeat(numbers, small.rows) + len(lanes)
            free = lanes[-1] + 1 if lanes else 0
            lanes += range(free, free + int(numbers[-1]) + 1)
        return Cut(shards, lanes)


class _Units:
    """What is put into a shard as a whole: rows, or hosts. rows, weights: int64, of each unit.

    whole: rows and weight of the listing.
    """

    def __init__(self, rows: np.ndarray, weights: np.ndarray, whole: tuple[int, int]) -> None:
        self.rows, self.weights, self.whole = rows, weights, whole

    @property
    def shares(self) -> np.ndarray:
        """Of each, its share of the rows plus its share of the weight, so that shards are similar in both."""
        return self.rows / self.whole[0] + self.weights / max(self.whole[1], 1)

    def cut(self, share: float, most_rows: int, most_weight: int) -> np.ndarray:
        """The shard of each unit, int32, from 0 on, in ascending order. share: about that of a shard."""
        shares = self.shares
        each = shares.sum() / max(1, round(shares.sum() / share))
        numbers = array("i")
        shard, held_rows, held_weight, done = 0, 0, 0, 0.0
        for rows, weight, share in zip(map(int, self.rows), map(int, self.weights), map(float, shares), strict=True):
            full = held_rows + rows > most_rows or held_weight + weight > most_weight
            if held_rows and (full or done + share / 2 > (shard + 1) * each):
                shard, held_rows, held_weight = shard + 1, 0, 0
            held_rows, held_weight, done = held_rows + rows, held_weight + weight, done + share
            numbers.append(shard)
        return np.frombuffer(numbers, np.int32)


def sorted_rows(batches: Iterable[pa.RecordBatch], shards: np.ndarray, folder: Path) -> Iterator[dict[str, Any]]:
    """The rows shard by shard, each with its `shard`, in the order of the batches within a shard.

    shards: int32 [rows], of each row. folder: for temporary files, as large as the listing.
    """
    counts = np.bincount(shards)
    rows_of_a_file = max(SORTED_ROWS, -(-len(shards) // MOST_FILES))
    file_of = (np.cumsum(counts) - counts) // rows_of_a_file  # of each shard
    files: dict[int, Path] = {}
    with ExitStack() as opened:
        writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        first = 0
        for batch in batches:
            of_rows = shards[first : first + batch.num_rows]
            first += batch.num_rows
            numbered = batch.append_column("shard", pa.array(of_rows))
            for file in np.unique(file_of[of_rows]).tolist():
                if file not in writers:
                    files[file] = folder / f"sorted-{file}.arrow"
                    sink = opened.enter_context(pa.OSFile(str(files[file]), "wb"))
                    writers[file] = opened.enter_context(pa.ipc.new_stream(sink, numbered.schema))
                writers[file].write_batch(numbered.take(pa.array(np.flatnonzero(file_of[of_rows] == file))))
    for _, path in sorted(files.items()):
        with pa.OSFile(str(path), "rb") as source:
            table = pa.ipc.open_stream(source).read_all()
        path.unlink()
        order = np.argsort(table["shard"].to_numpy(), kind="stable")
        for start in range(0, len(order), 1000):
            yield from table.take(pa.array(order[start : start + 1000])).to_pylist()


def in_lanes(lanes: Sequence[int], todo: Iterable[int]) -> list[list[int]]:
    """The shards that are still to be done, in their lanes: the longest first, else it would be what ends last.

    Lanes of as many shards keep the order in which their shards are given.

    lanes: as in Cut; empty where each shard is a lane of its own.

    >>> in_lanes([0, 1, 1, 1, 2], [0, 2, 3, 4])
    [[2, 3], [0], [4]]
    """
    found: dict[int, list[int]] = {}
    for shard in todo:
        found.setdefault(lanes[shard] if lanes else shard, []).append(shard)
    return sorted(found.values(), key=len, reverse=True)


def _host_of(uri: str) -> str:
    plain = _PLAIN.match(uri)
    return plain[1].rstrip(".") if plain else http.host_of(uri)
