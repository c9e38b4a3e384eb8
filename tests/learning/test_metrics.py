"""What is computed from a table of confusions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

from imagefeatures.learning.metrics import metrics


def test_they_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    true = np.concatenate([np.arange(4), random.integers(0, 4, 200)])
    predicted = np.where(random.random(204) < 0.7, true, random.integers(0, 3, 204))  # label 3 hardly ever
    confusion = np.zeros((4, 4), np.int64)
    np.add.at(confusion, (true, predicted), 1)
    found = metrics(confusion)
    precision, recall, f1, _ = precision_recall_fscore_support(true, predicted, zero_division=0)
    assert found.accuracy == pytest.approx((true == predicted).mean())
    assert found.macro_accuracy == pytest.approx(balanced_accuracy_score(true, predicted))
    assert found.macro_f1 == pytest.approx(f1.mean())
    np.testing.assert_allclose([found.precision, found.recall, found.f1], [precision, recall, f1])


def test_a_label_that_is_never_predicted_has_no_precision() -> None:
    found = metrics(np.array([[3, 0], [2, 0]]))
    assert found.precision.tolist() == [0.6, 0]
    assert (found.recall[1], found.f1[1], found.macro_accuracy) == (0, 0, 0.5)
