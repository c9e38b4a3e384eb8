"""The field `classify`: its defaults, and between which bounds its numbers lie."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from imagefeatures.learning.declared import Classify

BOUNDS = {
    "components": (2, 512, 1),
    "test_share": (0.05, 0.5, 0.001),
    "split_seed": (0, 2**31 - 1, 1),
    "max_rows": (100, 10_000_000, 1),
    "margin": (0.0, 1.0, 0.001),
}
"""Of each number: the least, the most, and a step beyond them."""


def test_the_defaults() -> None:
    assert Classify().model_dump() == {
        "model": "logistic_regression",
        "reduce": "pca",
        "components": 128,
        "test_share": 0.2,
        "split_seed": 0,
        "max_rows": 100_000,
        "margin": 0.01,
        "fingerprint": None,
    }


@pytest.mark.parametrize("name", BOUNDS)
def test_a_number_is_within_its_bounds(name: str) -> None:
    least, most, step = BOUNDS[name]
    for value in (least, most):
        assert Classify.model_validate({name: value}).model_dump()[name] == value
    wrong: tuple[Any, ...] = (least - step, most + step)
    for value in wrong:
        with pytest.raises(ValidationError, match=name):
            Classify.model_validate({name: value})
