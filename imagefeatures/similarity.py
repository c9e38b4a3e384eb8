"""Which images look alike, by their vectors: nearest neighbours, and a map on a plane."""

from __future__ import annotations

import numpy as np

LEAST_FOR_A_MAP = 5
"""With fewer photos `map_to_plane` only sets them side by side."""


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """vectors: float32 [n, width]. Returns each with length 1: a dot product is then the cosine. Zeros stay zeros."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def nearest(unit: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """unit: float32 [n, width], rows of length 1. Returns each row's `count` nearest others, best first.

    Indices: int [n, count]; their cosines: float32 [n, count].
    """
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    near = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return near, np.take_along_axis(cosines, near, axis=1)


def map_to_plane(unit: np.ndarray) -> np.ndarray:
    """Put photos that look alike close together: t-SNE of the first 50 principal components.

    unit: float32 [n, width], rows of length 1. Returns float [n, 2], the same for the same input.
    """
    if len(unit) < LEAST_FOR_A_MAP:  # too few for a map: side by side
        return np.column_stack([np.arange(len(unit)), np.zeros(len(unit))]).astype(float)
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(30.0, (len(unit) - 1) / 3)
    # One thread: 5 s for 1 400 photos. Two take 3 s alone, but 30 s where anything else wants a core, as
    # each of the thousand rounds waits for the slower one.
    with threadpool_limits(1):
        components = PCA(min(50, *unit.shape), random_state=0).fit_transform(unit)
        return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(components)
