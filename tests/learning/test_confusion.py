"""The picture of a table of confusions."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from imagefeatures.learning.confusion import _shown, draw


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_it_is_light_and_the_same_each_time() -> None:
    confusion = np.array([[9, 1], [0, 7]])
    first = draw(confusion, ("apple", "梨 $x_1$"), "fruit", "accuracy 0.941")
    assert first == draw(confusion, ("apple", "梨 $x_1$"), "fruit", "accuracy 0.941")
    assert pixels(first).mean() > 180
    assert len(first) < 100_000


def test_a_field_is_darker_the_more_of_its_row_it_has() -> None:
    right = pixels(draw(np.diag([5, 5]), ("a", "b"), "t", "b"))
    wrong = pixels(draw(np.array([[0, 5], [0, 5]]), ("a", "b"), "t", "b"))
    height, width = right.shape[:2]
    first = (slice(height // 4, height // 3), slice(width // 3, width // 2 - 20))  # the field of a and a
    assert right[first].mean() < wrong[first].mean() - 50


def test_of_many_labels_those_with_the_most_errors_are_shown() -> None:
    confusion = np.diag(np.full(50, 9))
    confusion[48, 49] = 3
    assert {48, 49} <= set(_shown(confusion).tolist())
    assert len(_shown(confusion)) == 40
    assert draw(confusion, tuple(map(str, range(50))), "t", "b").startswith(b"\x89PNG")
