"""Medians and spreads, ratios and targets, the straight line."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Spread:
    """A median, and the smallest and the largest of what it is the median of."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Ratio:
    """Our rate by another's, repetition by repetition, and what it should at least be."""

    what: str
    by: str
    spread: Spread
    at_least: float
    void: str = ""  # why the comparison says nothing

    @property
    def verdict(self) -> str:
        if self.void:
            return f"void: {self.void}"
        return "met" if self.spread.median >= self.at_least else "**not met**"


def ratio(ours: Sequence[float], others: Sequence[float]) -> Spread:
    """Of two columns of rates. Row by row: the two of a row were measured within minutes, under the same load.

    A column that ends sooner was measured in the first repetitions alone.

    >>> ratio([10, 30], [5, 10])
    Spread(median=2.5, least=2.0, most=3.0)
    >>> ratio([10, 30], [5])
    Spread(median=2.0, least=2.0, most=2.0)
    """
    return Spread.of([one / other for one, other in zip(ours, others, strict=False)])


def fit(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Least squares of seconds = fixed + images x each. points: (images, seconds). Returns (fixed, each).

    >>> [round(x, 3) for x in fit([(100, 12.0), (200, 14.0), (400, 18.0)])]
    [10.0, 0.02]
    """
    images, seconds = np.array(points, np.float64).T
    each, fixed = np.polyfit(images, seconds, 1)
    return float(fixed), float(each)


def ratios(found: dict[str, Any]) -> list[Ratio]:
    """Every target, with what was measured. found: the results, as `benchmarks.__main__` collects them."""
    rates, whole = found["rates"], found["whole_rates"]
    void = {
        peer: f"its vectors differ (cosine {cosine:.4f})"
        for peer, cosine in found["agreement"].items()
        if cosine < found["least_cosine"]
    }
    steps = [
        ("featurize", "inference", "the inference loop", 0.9),
        ("resize", "decode", "the decode and resize loop", 0.8),
        ("ingest", "featurize", "featurize", 8.0),
        ("validate", "featurize", "featurize", 8.0),
    ]
    equal = [("fused", "the fused loop", 0.65), ("daft", "Daft", 1.9), ("ray", "Ray Data", 3.0)]
    equal += [("notebook", "the notebook", 4.0)]
    runs = [("fused", "the fused loop", 0.5), ("daft", "Daft", 1.4), ("ray", "Ray Data", 2.2)]
    runs += [("notebook", "the notebook", 2.8)]
    return [
        *(Ratio(step, name, ratio(rates[step], rates[by]), least) for step, by, name, least in steps),
        *(Ratio("equal work", n, ratio(rates["ours"], rates[by]), t, void.get(by, "")) for by, n, t in equal),
        *(Ratio("whole run", n, ratio(whole["ours"], whole[by]), t, void.get(by, "")) for by, n, t in runs),
    ]
