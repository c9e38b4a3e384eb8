"""How far the vectors of a partition are from those of earlier ones, and how far chance alone takes them.

The distance is the squared maximum mean discrepancy of the kernel k(x, y) = x·y + (Px·Py)², for vectors x and y of
length 1 and the projection P of `sketch`. It follows from means and second moments alone, so no vector of an earlier
partition is read or kept: MMD² = |mean − mean'|² + |moment − moment'|². It sees that pictures have become others on
average, and that they vary in another way.

The distribution by chance is a bootstrap: sets as large as the partition and as its reference, both drawn from a sample
of the partition's own vectors, and their distances. Where partition and reference are of one kind, a distance as large
as those of the most distant share `level` of them comes up with the probability `level`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imagefeatures.quality.sketch import Sketch, projection

DRAWS = 1999
"""So many pairs of sets are drawn: the smallest probability that they can tell is 1 in 2,000."""


ROUNDING = 1e-9
"""A smaller distance, and a smaller variance, is that of numbers that were rounded to 32 bits."""


@dataclass(frozen=True)
class Drift:
    """score: MMD² without what chance adds on average, divided by the mean squared distance of two pictures of the
    partition: 0 where nothing has changed, which chance varies on both sides; 1: the partitions are as far apart as two
    pictures. probability: of a score as large by chance. bound: the score that chance exceeds with the probability
    `level`.
    """

    score: float
    probability: float
    bound: float


def drift(partition: Sketch, sample: np.ndarray, reference: Sketch, level: float, seed: int) -> Drift:
    """The drift of a partition against a reference. sample: of the partition's vectors, float32 [n, width], n ≥ 2.

    seed: of the draws. Takes a second, and memory for 8 · DRAWS · n bytes.
    """
    moved = partition.mean - reference.mean
    turned = partition.second_moment - reference.second_moment
    distance = float(moved @ moved) + float((turned**2).sum())
    centred = _centred(sample)
    variance = float(np.trace(centred)) / (len(sample) - 1)
    if variance < ROUNDING:  # all pictures are the same
        return Drift(distance, 1 if distance < ROUNDING else 1 / (1 + DRAWS), 0.0)
    by_chance = _distances(centred, partition.count, reference.count, np.random.default_rng(seed))
    noise = variance * (1 / partition.count + 1 / reference.count)
    scores = (by_chance - noise) / (2 * variance)
    return Drift(
        score=(distance - noise) / (2 * variance),
        probability=(1 + int((by_chance >= distance).sum())) / (1 + DRAWS),
        bound=float(np.quantile(scores, 1 - level)),
    )


def _centred(sample: np.ndarray) -> np.ndarray:
    """The kernel of each pair of the sample, in the space in which its mean is the origin: float64 [n, n]."""
    projected = sample @ projection(sample.shape[1])
    kernel = (sample @ sample.T).astype(np.float64) + (projected @ projected.T).astype(np.float64) ** 2
    rows = kernel.mean(axis=0)
    centred: np.ndarray = kernel - rows[:, None] - rows[None, :] + rows.mean()
    return centred


def _distances(centred: np.ndarray, count: int, other: int, random: np.random.Generator) -> np.ndarray:
    """Distances of DRAWS pairs of sets of these sizes, drawn from the sample with replacement: float64 [DRAWS]."""
    size = len(centred)
    even = np.full(size, 1 / size)
    weights = random.multinomial(count, even, DRAWS) / count - random.multinomial(other, even, DRAWS) / other
    # A sample of n varies by (n - 1) / n less than what it is drawn from.
    distances: np.ndarray = np.einsum("ij,ij->i", weights @ centred, weights) * size / (size - 1)
    return distances
