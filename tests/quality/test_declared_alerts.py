"""The bounds of what a dataset file may declare, and what holds where it declares nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from imagefeatures.quality import declared
from imagefeatures.quality.declared import Alerts


def test_without_a_value_there_is_no_alert_and_drift_is_measured_in_the_usual_way() -> None:
    assert Alerts().model_dump() == {
        "quarantine_rate": None, "count": None, "drift": None, "drift_least": 0.0, "window": 7,
        "images_per_second": None, "notify": None, "fail": False,
    }  # fmt: skip
    assert (declared.LEVEL, declared.WINDOW) == (0.01, 7)


@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [
        ("quarantine_rate", [0, 1], [-0.001, 1.001]),
        ("count", [0.001, 10], [0, 10.001]),
        ("drift", [declared.LEAST_LEVEL, 0.5], [declared.LEAST_LEVEL / 2, 0.501]),
        ("drift_least", [0, 2], [-0.001, 2.001]),
        ("window", [1, 100], [0, 101]),
        ("images_per_second", [0.001, 1_000_000], [0, 1_000_000.5]),
    ],
)
def test_a_value_is_taken_up_to_its_bounds(field: str, inside: list[Any], outside: list[Any]) -> None:
    assert [getattr(Alerts.model_validate({field: value}), field) for value in inside] == inside
    for value in outside:
        with pytest.raises(ValidationError):
            Alerts.model_validate({field: value})
