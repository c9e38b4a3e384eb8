"""Mean and covariance sketch of vectors of length 1, added up in one pass over them.

Two sketches say how far two sets of vectors are apart (`drift`), however many vectors there were. They hold no vector
of a single picture: there is none of fewer than LEAST pictures, whose mean would be close to giving one away.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from imagefeatures.similarity import unit_length

LEAST = 50
"""There is no sketch of fewer pictures."""

DIMENSIONS = 32
"""Onto so many dimensions vectors are projected before their covariance is taken."""

SAMPLE = 1000
"""So many vectors are drawn for the distribution by chance."""


@dataclass(frozen=True)
class Sketch:
    """count: of the vectors, each of length 1. mean: float64 [width]. covariance: float64 [DIMENSIONS, DIMENSIONS], of
    their projections.
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray

    @property
    def second_moment(self) -> np.ndarray:
        """The mean of the outer product of each projection with itself, float64 [DIMENSIONS, DIMENSIONS]."""
        centre = self.mean @ projection(len(self.mean))
        moment: np.ndarray = self.covariance + np.outer(centre, centre)
        return moment

    @classmethod
    def pooled(cls, sketches: list[Self]) -> Self:
        """The sketch of all their vectors. sketches: at least one, all of one width."""
        counts = np.array([one.count for one in sketches], float)
        shares = counts / counts.sum()
        mean = np.einsum("i,ij->j", shares, np.stack([one.mean for one in sketches]))
        moment = np.einsum("i,ijk->jk", shares, np.stack([one.second_moment for one in sketches]))
        centre = mean @ projection(len(mean))
        return cls(int(counts.sum()), mean, moment - np.outer(centre, centre))


class Sums:
    """Vectors, batch by batch. Memory for SAMPLE vectors and for what a sketch is made of.

    seed: of the random sample.
    """

    def __init__(self, seed: int) -> None:
        self.count = 0
        self._random = np.random.default_rng(seed)
        self._mean = self._moment = np.zeros(0)
        self._keys, self._sample = np.zeros(0), np.zeros((0, 0), np.float32)

    def add(self, vectors: np.ndarray) -> None:
        """Add vectors, float32 [n, width]. All batches have one width."""
        if not len(vectors):
            return
        unit = unit_length(vectors)
        projected = (unit @ projection(unit.shape[1])).astype(np.float64)
        mean, moment = unit.sum(axis=0, dtype=np.float64), projected.T @ projected
        keys = self._random.random(len(unit))
        if self.count:
            mean, moment = mean + self._mean, moment + self._moment
            keys, unit = np.concatenate([self._keys, keys]), np.concatenate([self._sample, unit])
        kept = np.argsort(keys, kind="stable")[:SAMPLE]
        self.count += len(vectors)
        self._mean, self._moment, self._keys, self._sample = mean, moment, keys[kept], unit[kept]

    @property
    def sketch(self) -> Sketch | None:
        """The sketch of all vectors; None of fewer than LEAST."""
        if self.count < LEAST:
            return None
        mean = self._mean / self.count
        centre = mean @ projection(len(mean))
        return Sketch(self.count, mean, self._moment / self.count - np.outer(centre, centre))

    @property
    def sample(self) -> np.ndarray:
        """Some of the vectors, drawn without preference: float32 [at most SAMPLE, width], each of length 1."""
        return self._sample


@lru_cache(maxsize=4)
def projection(width: int) -> np.ndarray:
    """The projection of vectors onto DIMENSIONS, float32 [width, DIMENSIONS]: a sign for each pair, from SHAKE-256.

    It is the same on every machine and with every version of NumPy, so sketches of any time may be compared. It keeps
    lengths on average.

    >>> projection(4).shape, round(float(np.abs(projection(4)).max()), 4)
    ((4, 32), 0.1768)
    """
    digest = hashlib.shake_256(b"imagefeatures covariance sketch").digest(width * DIMENSIONS // 8)
    signs = np.unpackbits(np.frombuffer(digest, np.uint8)).reshape(width, DIMENSIONS)
    scaled: np.ndarray = (2.0 * signs - 1) / np.sqrt(DIMENSIONS)
    return scaled.astype(np.float32)
