"""Rows put in order: those of a window, from the files that have them; and pieces of a handy size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

Piece = tuple[np.ndarray, pa.RecordBatch]
"""The values of n successive rows of an export, and their facts."""

LEAST_SHARE = 4
"""A piece is joined with others where it has less than this part of a batch."""


class Window:
    """Successive rows of the order. values: memory for all of theirs."""

    def __init__(self, first: int, values: np.ndarray) -> None:
        self._first, self._values = first, values
        self._places: list[np.ndarray] = []
        self._facts: list[pa.RecordBatch] = []

    def add(self, ranks: np.ndarray, values: np.ndarray, facts: pa.RecordBatch) -> None:
        """Take those rows of a batch that belong here."""
        places = ranks - self._first
        inside = (places >= 0) & (places < len(self._values))
        if not inside.all():
            places, values, facts = places[inside], values[inside], facts.filter(pa.array(inside))
        if len(places) and (np.diff(places) == 1).all():  # a slice is copied three times as fast
            self._values[places[0] : places[-1] + 1] = values
        else:
            self._values[places] = values
        self._places.append(places)
        self._facts.append(facts)

    def pieces(self, size: int) -> Iterator[Piece]:
        """The rows, `size` at a time."""
        order = np.empty(len(self._values), np.int64)
        order[np.concatenate(self._places)] = np.arange(len(order))
        facts = pa.Table.from_batches(self._facts).combine_chunks()
        if (np.diff(order) != 1).any():
            facts = facts.take(order)
        (rows,) = facts.to_batches()
        return cut(self._values, rows, size)


def with_ranks(ranks: np.ndarray, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """Batches of rows, each with those of the ranks that are its own."""
    start = 0
    for batch in batches:
        yield ranks[start : start + batch.num_rows], batch
        start += batch.num_rows


def cut(values: np.ndarray, facts: pa.RecordBatch, size: int) -> Iterator[Piece]:
    """Rows in pieces of `size`; the last one has the rest. They are views."""
    return ((values[first : first + size], facts.slice(first, size)) for first in range(0, len(values), size))


def pieces_joined(pieces: Iterable[Piece], size: int) -> Iterator[Piece]:
    """Pieces of at most `size` rows, small ones joined: no format is quick with a few rows at a time."""
    least = max(1, size // LEAST_SHARE)
    small: list[Piece] = []
    rows = 0
    for piece in pieces:
        count = len(piece[0])
        if small and count >= least:
            yield _joined(small)
            small, rows = [], 0
        if count >= least:
            yield piece
            continue
        small.append(piece)
        rows += count
        if rows >= least:
            yield _joined(small)
            small, rows = [], 0
    if small:
        yield _joined(small)


def _joined(pieces: list[Piece]) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    (facts,) = pa.Table.from_batches([facts for _, facts in pieces]).combine_chunks().to_batches()
    return np.concatenate([values for values, _ in pieces]), facts
