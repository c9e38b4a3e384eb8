"""What a page has of a map: its labels with how far neighbours agree, and its points as whole numbers."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures.maps.compute import POINTS
from imagefeatures.maps.stored import StoredMap
from imagefeatures_airflow.web import map_points
from imagefeatures_airflow.web.map_points import Label
from imagefeatures_airflow.web.rendering import LONGEST_LABEL

LABELS = ["fig", "pear", None, "fig", "kiwi", "fig", "pear", None]
NEAR = [[3, 5], [2, 7], [0, 1], [0, 2], [2, 7], [1, 4], [1, 0], [2, 6]]


def drawn(labels: list[str | None], near: list[list[int]], at: list[tuple[float, float]]) -> StoredMap:
    rows = [
        {"uri": f"s3://b/{number}", "image_id": f"{number:064x}", "partition_key": "p", "label": label, "x": x, "y": y,
         "near": others, "cosines": [1.0] * len(others)}
        for number, (label, others, (x, y)) in enumerate(zip(labels, near, at, strict=True))
    ]  # fmt: skip
    return StoredMap(pa.Table.from_pylist(rows, schema=POINTS), {})


def a_map() -> StoredMap:
    return drawn(LABELS, NEAR, [(number / 16 - 3, number / 64 + 2) for number in range(8)])


def test_labels_are_the_most_frequent_first_with_the_share_of_neighbours_that_agree() -> None:
    found = map_points.labels(a_map())
    assert found == [
        Label("fig", 3, 3 / 5),  # of six neighbours one has no label, and says nothing
        Label("pear", 2, 1 / 2),
        Label(None, 2, None),
        Label("kiwi", 1, None),
    ]
    assert map_points.count_labels(a_map()) == 4


def points(of: StoredMap) -> dict[str, Any]:
    data = map_points.as_json(of)
    assert b" " not in data
    found: dict[str, Any] = json.loads(data)
    return found


def test_points_are_whole_numbers_by_one_scale() -> None:
    found = points(a_map())
    assert found["labels"] == ["fig", "pear", None, "kiwi"]
    assert found["label"] == [0, 1, 2, 0, 3, 0, 1, 2]
    assert found["x"] == [round(65_535 * number / 7) for number in range(8)]
    assert found["y"] == [round(65_535 * number / 28) for number in range(8)]


def test_labels_beyond_the_most_frequent_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_points, "MOST_LABELS", 2)
    of = a_map()
    assert [label.name for label in map_points.labels(of)] == ["fig", "pear"]
    assert map_points.count_labels(of) == 4
    assert points(of)["label"] == [0, 1, 2, 0, 2, 0, 1, 2]
    assert points(of)["labels"] == ["fig", "pear"]


def test_photos_without_labels_or_at_one_place_are_drawn() -> None:
    found = points(drawn([None, None], [[1], [0]], [(3.0, 4.0)] * 2))
    assert found == {"labels": [None], "x": [0, 0], "y": [0, 0], "label": [0, 0]}
    alone = points(drawn(["x" * 900], [[]], [(3.0, 4.0)]))
    assert [len(label) for label in alone["labels"]] == [LONGEST_LABEL]
