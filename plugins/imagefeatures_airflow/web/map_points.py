"""What a page has of a feature map: its labels, and its points as JSON."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from imagefeatures_airflow.web.rendering import LONGEST_LABEL

if TYPE_CHECKING:
    import numpy as np

    from imagefeatures.maps.stored import StoredMap

MOST_LABELS = 500
"""So many labels, the most frequent ones, are told apart; the others are one."""

STEPS = 65_535
"""Positions are whole numbers up to this: finer than any screen, and short as text."""


class Label(NamedTuple):
    """A label of the map. name: None for photos without one.

    agree: of the nearest others of its photos, the share with the same label; None where none of them has a label.
    """

    name: str | None
    photos: int
    agree: float | None


class _Labelled(NamedTuple):
    """number: int [n], of each photo, the place of its label among `labels`, which has all of them."""

    labels: list[Label]
    number: np.ndarray


def labels(found: StoredMap) -> list[Label]:
    """The MOST_LABELS most frequent labels; no label counts as one."""
    return _labelled(found).labels[:MOST_LABELS]


def count_labels(found: StoredMap) -> int:
    return len(_labelled(found).labels)


@lru_cache(4)
def as_json(found: StoredMap) -> bytes:
    """The points as JSON: at most 2 MB for 100,000 of them.

    labels: the names that `labels` has, null for none. x, y: whole numbers from 0 to STEPS, y upwards, by one scale.
    label: of each point the place of its label; len(labels) for a label that is not among them.
    """
    import numpy as np

    numbers = np.minimum(_labelled(found).number, MOST_LABELS)
    positions = np.column_stack([found.points["x"].to_numpy(), found.points["y"].to_numpy()]).astype(np.float64)
    positions -= positions.min(axis=0)
    positions *= STEPS / max(positions.max(), 1e-9)
    x, y = positions.round().astype(int).T.tolist()
    content: dict[str, Any] = {
        "labels": [label.name and label.name[:LONGEST_LABEL] for label in labels(found)],
        "x": x,
        "y": y,
        "label": numbers.tolist(),
    }
    return json.dumps(content, separators=(",", ":")).encode()


@lru_cache(4)
def _labelled(found: StoredMap) -> _Labelled:
    import numpy as np

    column = found.points["label"].combine_chunks().dictionary_encode()
    names: list[str | None] = [*column.dictionary.to_pylist(), None]
    codes = column.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)
    counts = np.bincount(codes, minlength=len(names))
    near = found.points["near"].combine_chunks().flatten().to_numpy().reshape(len(codes), -1)
    others = codes[near]
    votes = others < len(names) - 1  # a photo without a label says nothing of its neighbours
    same = (others == codes[:, None]) & votes
    agreeing = np.bincount(codes, weights=same.sum(axis=1), minlength=len(names))
    voting = np.bincount(codes, weights=votes.sum(axis=1), minlength=len(names))
    order = [int(code) for code in np.lexsort((np.arange(len(names)), -counts)) if counts[code]]
    found_labels = [
        Label(
            names[code],
            int(counts[code]),
            float(agreeing[code] / voting[code]) if voting[code] and names[code] is not None else None,
        )
        for code in order
    ]
    place = np.zeros(len(names), np.int64)
    place[order] = np.arange(len(order))
    return _Labelled(found_labels, place[codes])
