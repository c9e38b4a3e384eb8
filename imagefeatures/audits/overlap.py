"""Whether one picture is the other, or a part of it, by their pixels.

Vectors of two photos of one shelf may be as close as those of a photo and its own copy. Their pixels are not: both are
made small and grey, and one is looked for inside the other, as if it had been cropped a little.
"""

from __future__ import annotations

from functools import cache

import numpy as np

SIDE = 48
"""Of the small pictures, in pixels."""

SIDES = range(SIDE, SIDE - 9, -2)
"""What may be left of a side when a picture is cropped: down to five sixths."""

FLAT = 2.0
"""A picture whose grey values deviate less than that from their mean, of 255, shows nothing that could be compared.

Of an empty part of one the deviation would be the rounding error of its sums: divided by that, any two are the same."""


def grey(pixels: np.ndarray) -> np.ndarray:
    """pixels: uint8 [SIDE, SIDE, 3]. Returns float32 [SIDE, SIDE], the luma as Pillow weighs it."""
    weighed: np.ndarray = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return weighed


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """How far two small pictures are the same: the highest correlation of one with a part of the other, up to 1.

    one, other: as `grey` returns them. A part has at least five sixths of each side. 0 where one of them is flat.
    """
    if min(one.std(), other.std()) < FLAT:
        return 0.0
    return max(_highest(one, other), _highest(other, one))


@cache
def _shrink(side: int) -> np.ndarray:
    """The weights of a triangle filter, float32 [side, SIDE], that makes SIDE values `side` ones."""
    scale = SIDE / side
    centres = (np.arange(side) + 0.5) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(SIDE) - centres[:, None]) / scale)
    scaled: np.ndarray = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return scaled


def _highest(whole: np.ndarray, part: np.ndarray) -> float:
    """The highest correlation of `part`, made smaller, with a place of `whole`."""
    best = 0.0
    for height in SIDES:
        for width in SIDES:
            flat = FLAT * np.sqrt(height * width)
            wanted = (_shrink(height) @ part @ _shrink(width).T).ravel()
            wanted -= wanted.mean()
            places = np.lib.stride_tricks.sliding_window_view(whole, (height, width)).reshape(-1, height * width)
            means = places.mean(axis=1)
            lengths = np.sqrt(np.maximum((places * places).sum(axis=1) - means * means * height * width, flat**2))
            best = max(best, float((places @ wanted / lengths).max() / max(np.linalg.norm(wanted), flat)))
    return best
