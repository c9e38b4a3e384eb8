"""What a table of confusions says of a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Metrics:
    """accuracy: share of the held-out rows that are right. macro_accuracy: the mean of the labels' recalls, in which a
    rare label counts as much as a common one. Of each label, float64 [k]: precision, recall, f1.

    A label that is never predicted has precision 0.
    """

    accuracy: float
    macro_accuracy: float
    macro_f1: float
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def metrics(confusion: np.ndarray) -> Metrics:
    """confusion: int64 [k, k], rows of true labels, columns of predicted ones. Each label has a held-out row.

    >>> found = metrics(np.array([[8, 2], [0, 2]]))
    >>> round(found.accuracy, 4), round(found.macro_accuracy, 4)
    (0.8333, 0.9)
    """
    right = np.diagonal(confusion).astype(np.float64)
    true, predicted = confusion.sum(1), confusion.sum(0)
    recall = _ratio(right, true)
    precision = _ratio(right, predicted)
    f1 = _ratio(2 * right, true + predicted)
    return Metrics(float(right.sum() / confusion.sum()), float(recall.mean()), float(f1.mean()), precision, recall, f1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return result
