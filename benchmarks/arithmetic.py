"""The benchmark's arithmetic: medians and spreads, ratios and targets, the fitted line."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Spread:
    """The median of some values, the smallest and the largest of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Ratio:
    """A rate of the pipeline divided by another rate, repetition by repetition, and its target.

    what, by: the two rates. at_least: the target of the median. void: why the comparison does not count, if so.
    """

    what: str
    by: str
    spread: Spread
    at_least: float
    void: str = ""

    @property
    def verdict(self) -> str:
        if self.void:
            return f"void: {self.void}"
        return "met" if self.spread.median >= self.at_least else "**not met**"


def ratio(rates: Sequence[float], others: Sequence[float]) -> Spread:
    """The ratios of two columns of rates, row by row: both rates of a repetition are measured under the same load.

    The shorter column was measured only in the first repetitions.

    >>> ratio([10, 30], [5, 10])
    Spread(median=2.5, least=2.0, most=3.0)
    >>> ratio([10, 30], [5])
    Spread(median=2.0, least=2.0, most=2.0)
    """
    return Spread.of([rate / other for rate, other in zip(rates, others, strict=False)])


def fit(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """The least-squares line seconds = fixed + images × each. points: (images, seconds). Returns (fixed, each).

    >>> [round(x, 3) for x in fit([(100, 12.0), (200, 14.0), (400, 18.0)])]
    [10.0, 0.02]
    """
    images, seconds = np.array(points, np.float64).T
    each, fixed = np.polyfit(images, seconds, 1)
    return float(fixed), float(each)


def ratios(results: dict[str, Any]) -> list[Ratio]:
    """Every target and the measured ratios. results: as `benchmarks.__main__` collects them."""
    rates, whole = results["rates"], results["whole_rates"]
    void = {
        peer: f"its vectors differ (cosine {cosine:.4f})"
        for peer, cosine in results["agreement"].items()
        if cosine < results["least_cosine"]
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
