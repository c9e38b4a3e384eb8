"""Which images look alike, by their vectors: nearest neighbours, and a map on a plane."""

from __future__ import annotations

import numpy as np

BLOCK = 512
"""So many rows are compared with all others at once."""

LEAST_FOR_A_MAP = 5
"""t-SNE needs that many photos."""


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors, float32 [n, width], to length 1, so that a dot product is the cosine. A zero vector stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: np.ndarray = vectors / np.maximum(lengths, 1e-12)
    return scaled


def nearest(unit: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` nearest other rows of each row, best first, and of equally near ones the first.

    unit: float32 [n, width], rows of length 1. Returns their indices, int [n, count], and their cosines, float32
    [n, count]. Memory for BLOCK × n cosines.
    """
    near = np.empty((len(unit), count), np.int64)
    found = np.empty((len(unit), count), np.float32)
    for start in range(0, len(unit) if count else 0, BLOCK):
        cosines = unit[start : start + BLOCK] @ unit.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf
        least = np.partition(cosines, -count, axis=1)[:, -count]
        for row in rows.tolist():
            enough = np.flatnonzero(cosines[row] >= least[row])
            best = enough[np.argsort(-cosines[row, enough], kind="stable")[:count]]
            near[start + row], found[start + row] = best, cosines[row, best]
    return near, found


def map_to_plane(unit: np.ndarray) -> np.ndarray:
    """Place photos that look alike close together: t-SNE of the first 50 principal components.

    Side by side in a row where t-SNE has nothing to place: fewer than LEAST_FOR_A_MAP photos, vectors that are all
    equal or of one number. unit: float32 [n, width], rows of length 1. Returns float [n, 2], the same for the same
    input.
    """
    in_a_row = np.column_stack([np.arange(len(unit)), np.zeros(len(unit))]).astype(float)
    if len(unit) < LEAST_FOR_A_MAP or (unit == unit[0]).all():
        return in_a_row
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(30.0, (len(unit) - 1) / 3)
    # One thread takes 5 s for 1 400 photos. Two threads take 3 s on idle cores, but 30 s when another process uses
    # one of them, because each of the thousand rounds waits for the slower thread.
    with threadpool_limits(1):
        components = PCA(min(50, *unit.shape), random_state=0).fit_transform(unit)
        # scikit-learn divides by the variance of the first component, and dies by a signal where rounding leaves none.
        if components.shape[1] < 2 or not np.std(components[:, 0]):
            return in_a_row
        positions: np.ndarray = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(components)
    return positions
