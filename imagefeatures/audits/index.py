"""The nearest others of more images than can be compared with each other: an index of FAISS, the extra `index`.

The vectors lie in a file, and memory is bounded: some 1 KB an image, and 0.5 GB. FAISS learns from a sample which
COMPONENTS directions tell the vectors apart, and divides them into lists of what lies together. An image is compared
with the nearest lists in these directions, and the best of that with the whole vectors: what is found has its exact
cosine, but a nearer image may be missed. How many are is measured in each run: some images are compared with all.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from imagefeatures import similarity

COMPONENTS = 128
"""So many principal components are compared in the lists. Of 50,000 made-up vectors 128 lose 1 neighbour of 1,000."""

LEARNT_FROM = 20_000
"""So many images the components are learnt from."""

PER_LIST = 50
"""So many images of each list the lists are learnt from. FAISS warns below 39."""

SAMPLE = 1_000
"""So many images are compared with all others. The effort is chosen with the first half, and judged with the second."""

ENOUGH = 0.99
"""The recall at which no more effort is made."""

EFFORTS = ((16, 4), (32, 8), (64, 16))
"""Lists that are looked into, and images that are compared by their whole vectors, as a multiple of the neighbours."""

GATHERED = 1 << 14
"""So many vectors are in memory at once: 84 MB of 1,280 values each."""

SEARCHED = 4096
"""So many images are looked up in the lists at once: FAISS's threads wait for each other at the end of each call."""

TIE = 1e-6
"""Cosines that differ by less are equal: sums of another order do."""


class Nearest(NamedTuple):
    """near: int [n, k], the rows of the nearest others, best first. cosines: float32 [n, k]. recall: 0 to 1, the share
    of the true k nearest that was found, of `sampled` images that were compared with all; None where all were."""

    near: np.ndarray
    cosines: np.ndarray
    recall: float | None
    sampled: int


def is_installed() -> bool:
    return importlib.util.find_spec("faiss") is not None


@dataclass(frozen=True)
class Stored:
    """Vectors in a file, of which some are the images, in an order of their own.

    vectors: float32 [m, width], of length 1, in the file. rows: int [n], the row in it of each image.
    """

    vectors: np.ndarray
    rows: np.ndarray

    @classmethod
    def of_file(cls, file: BinaryIO, count: int, rows: np.ndarray) -> Stored:
        """file: what `write` has written of `count` vectors."""
        file.flush()
        return cls(np.memmap(file, np.float32, "r").reshape(count, -1), rows)

    def of(self, images: np.ndarray) -> np.ndarray:
        """float32 [*images.shape, width], read now. images: int."""
        read: np.ndarray = self.vectors[self.rows[images]]
        return read

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """All images: the first of each block, and their vectors."""
        for start in range(0, len(self.rows), GATHERED):
            yield start, self.vectors[self.rows[start : start + GATHERED]]


def write(file: BinaryIO, vectors: np.ndarray) -> None:
    """Append vectors, float32 [n, width], scaled to length 1. Raises OSError where the disk is full."""
    file.write(np.ascontiguousarray(similarity.unit_length(vectors), np.float32).data)


def nearest(stored: Stored, count: int) -> Nearest:
    """The `count` nearest other images of each image, as `similarity.nearest` has them, but not always all of these.

    The same for the same input and number of threads. count: at most one less than there are images.
    """
    random = np.random.default_rng(0)
    images = len(stored.rows)
    sample = random.permutation(images)[:SAMPLE]
    least = _least_cosines(stored, sample, count)
    search = _Search.learnt(stored, count, random)
    chosen, judged = np.arange(len(sample) // 2), np.arange(len(sample) // 2, len(sample))
    effort = EFFORTS[0]
    for effort in EFFORTS:
        _, cosines = search.of(sample[chosen], effort)
        if _recall(cosines, least[chosen]) >= ENOUGH:
            break
    near, cosines = np.empty((images, count), np.int64), np.empty((images, count), np.float32)
    for start in range(0, images, SEARCHED):
        part = np.arange(start, min(start + SEARCHED, images))
        near[part], cosines[part] = search.of(part, effort)
    return Nearest(near, cosines, _recall(cosines[sample[judged]], least[judged]), len(judged))


def _recall(cosines: np.ndarray, least: np.ndarray) -> float:
    """cosines: float [n, k], of what was found. least: float [n], of the true k-th nearest."""
    return float((cosines >= least[:, None] - TIE).mean()) if cosines.size else 1.0


def _least_cosines(stored: Stored, sample: np.ndarray, count: int) -> np.ndarray:
    """The cosine of the `count`-th nearest other image of each of a sample, float32 [n]: compared with all images."""
    unit = stored.of(sample)
    best = np.full((len(sample), count), -np.inf, np.float32)
    for start, block in stored.blocks():
        cosines = unit @ block.T
        own = np.flatnonzero((sample >= start) & (sample < start + len(block)))
        cosines[own, sample[own] - start] = -np.inf
        best = np.partition(np.concatenate([best, cosines], axis=1), -count, axis=1)[:, -count:]
    least: np.ndarray = best.min(axis=1)
    return least


@dataclass(frozen=True)
class _Search:
    """components: FAISS's PCA. lists: its inverted lists of all images, by Euclidean distance in the components, which
    orders vectors of length 1 as the cosine does. count: how many neighbours are wanted."""

    stored: Stored
    components: Any
    lists: Any
    count: int

    @classmethod
    def learnt(cls, stored: Stored, count: int, random: np.random.Generator) -> _Search:
        import faiss

        images, width = len(stored.rows), stored.vectors.shape[1]
        order = random.permutation(images)
        number = max(1, min(int(4 * np.sqrt(images)), images // PER_LIST))
        components = faiss.PCAMatrix(width, min(COMPONENTS, width, images))
        components.train(stored.of(np.sort(order[:LEARNT_FROM])))
        quantizer = faiss.IndexFlatL2(components.d_out)
        lists = faiss.IndexIVFFlat(quantizer, components.d_out, number)
        taught = np.sort(order[: number * PER_LIST])
        parts = [taught[start : start + GATHERED] for start in range(0, len(taught), GATHERED)]
        lists.train(np.concatenate([components.apply(stored.of(part)) for part in parts]))
        for _, block in stored.blocks():
            lists.add(components.apply(block))
        return cls(stored, components, lists, count)

    def of(self, images: np.ndarray, effort: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """What is found of so many images: int and float32 [n, count]. effort: one of EFFORTS."""
        unit = self.stored.of(images)
        found = self._candidates(unit, effort)
        cosines = np.empty(found.shape, np.float32)
        step = max(1, GATHERED // found.shape[1])
        for start in range(0, len(found), step):
            rows = slice(start, start + step)
            cosines[rows] = np.matmul(self.stored.of(found[rows]), unit[rows, :, None])[:, :, 0]
        cosines[(found == images[:, None]) | (found < 0)] = -np.inf
        order = np.lexsort((found, -cosines), axis=1)[:, : self.count]
        return np.take_along_axis(found, order, axis=1), np.take_along_axis(cosines, order, axis=1)

    def _candidates(self, unit: np.ndarray, effort: tuple[int, int]) -> np.ndarray:
        """Images that may be the nearest, int [n, c]. At least `count` + 1 of each row are images, others may be -1."""
        self.lists.nprobe, wanted = effort[0], min(self.count * effort[1] + 1, len(self.stored.rows))
        projected = self.components.apply(unit)
        _, found = self.lists.search(projected, wanted)
        if (few := np.flatnonzero((found >= 0).sum(axis=1) <= self.count)).size:  # the lists hold too few
            self.lists.nprobe = self.lists.nlist
            _, found[few] = self.lists.search(projected[few], wanted)
        return np.asarray(found)
