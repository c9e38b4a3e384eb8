"""The principal components of the vectors that are exported, fitted in one pass with a matrix of [width, width]."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imagefeatures.errors import ParamsError
from imagefeatures.exports.content import Batch


@dataclass(frozen=True)
class Projection:
    """What makes k components of a vector: (vector - mean) @ axes.T. mean: float32 [width]. axes: float32 [k, width].

    explained: float64 [k], the share of the variance that each component has, the largest first.
    """

    mean: np.ndarray
    axes: np.ndarray
    explained: np.ndarray

    def of(self, vectors: np.ndarray) -> np.ndarray:
        """The components of vectors, float32 [n, width]. Returns float32 [n, k]."""
        found: np.ndarray = (vectors - self.mean) @ self.axes.T
        return found

    def batches(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches of an export, their vectors replaced by their components."""
        return (batch._replace(values=self.of(batch.values)) for batch in batches)

    def save(self, path: Path) -> None:
        """Write mean, axes and explained as .npz, for the vectors of other images."""
        with path.open("xb") as sink:
            np.savez(sink, mean=self.mean, axes=self.axes, explained=self.explained)


def fit(vectors: Iterable[np.ndarray], width: int, count: int) -> Projection:
    """The `count` principal components of vectors, float32 [n, width] at a time. Memory: two matrices [width, width].

    The sign of an axis is such that its largest entry is positive. Raises ParamsError when there are fewer vectors, or
    fewer values, than components.
    """
    rows, shift = 0, None
    total, products = np.zeros(width), np.zeros((width, width))
    for some in vectors:
        if shift is None:  # near the mean, so that nothing cancels when it is taken away
            shift = some.mean(axis=0)
        near = some - shift
        total += near.sum(axis=0, dtype=np.float64)
        products += near.T @ near
        rows += len(some)
    if shift is None or count > min(rows - 1, width):
        raise ParamsError(
            f"--pca: at most {max(min(rows - 1, width), 0)} components of {rows} vectors with {width} values"
        )
    mean = total / rows
    variances, axes = np.linalg.eigh(products / rows - np.outer(mean, mean))
    axes = axes[:, ::-1][:, :count].T
    axes *= np.sign(axes[np.arange(count), np.abs(axes).argmax(axis=1)])[:, None]
    variances = np.maximum(variances[::-1], 0)
    explained = variances[:count] / max(variances.sum(), np.finfo(float).tiny)
    return Projection((shift + mean).astype(np.float32), axes.astype(np.float32), explained)
