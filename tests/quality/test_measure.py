"""What is counted of a partition's rows, batch by batch."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from imagefeatures.quality import measure
from imagefeatures.quality.measure import ending


def counted(*batches: list[dict[str, Any]]) -> dict[str, Any]:
    schema = pa.schema(
        [
            ("uri", pa.string()), ("image_id", pa.string()), ("label", pa.string()), ("mode", pa.string()),
            ("size", pa.int64()), ("width", pa.int32()), ("height", pa.int32()),
        ]
    )  # fmt: skip
    counts = measure._Counts()
    for rows in batches:
        counts.add(pa.RecordBatch.from_pylist(rows, schema=schema))
    return counts.columns()


def row(number: int, **other: Any) -> dict[str, Any]:
    known = {"uri": f"s3://b/{number}.JPG", "image_id": f"{number:016x}{'0' * 48}", "label": "a", "mode": "RGB"}
    return known | {"size": 100 + number, "width": number, "height": 2 * number} | other


def test_rows_of_all_batches_are_counted() -> None:
    same = row(3, image_id=row(1)["image_id"], label=None, mode="L", uri="s3://b/3")
    assert counted([row(1), row(2)], [same]) == {
        "pictures": 3, "duplicates": 1, "labels": [("a", 2)], "unlabelled": 1, "formats": [("jpg", 2), ("none", 1)],
        "modes": [("RGB", 2), ("L", 1)], "sizes": [101, 101, 102, 103, 103], "widths": [1, 1, 2, 3, 3],
        "heights": [2, 2, 4, 6, 6],
    }  # fmt: skip
    assert counted([row(1)])["unlabelled"] == 0


def test_of_no_rows_everything_is_none() -> None:
    assert counted() == {
        "pictures": 0, "duplicates": 0, "labels": [], "unlabelled": 0, "formats": [], "modes": [], "sizes": [],
        "widths": [], "heights": [],
    }  # fmt: skip


def test_images_are_told_apart_by_the_first_sixteen_digits() -> None:
    ids = ["f" * 64, "f" * 15 + "e" + "f" * 48, "f" * 16 + "0" * 48]
    assert counted([row(number, image_id=image) for number, image in enumerate(ids)])["duplicates"] == 1


def test_only_the_most_frequent_labels_and_endings_are_named() -> None:
    rows = [row(number, label=f"{number}", uri=f"s3://b/x.{number}") for number in range(1001)]
    found = counted([*rows, row(1001, label="7", uri="s3://b/x.7")])
    assert (len(found["labels"]), len(found["formats"])) == (1000, 20)
    assert (found["labels"][0], found["formats"][0]) == (("7", 2), ("7", 2))


def test_five_values_say_how_sizes_are_distributed() -> None:
    found = counted([row(number) for number in range(101)])
    assert found["widths"] == [0, 5, 50, 95, 100]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://b/a.b/1.JPG", "jpg"), ("https://h/1.png?w=3.5", "png"), ("http://h/1.png#a.gif", "png"),
        ("s3://b/1.png?w=3.gif", "gif"), ("s3://b/1", "none"), ("s3://b/a.jpg/1", "none"), ("s3://b/.jpg", "none"),
        ("https://h", "none"),
    ],
)  # fmt: skip
def test_the_ending_of_a_name_is_that_of_its_path(uri: str, expected: str) -> None:
    assert ending(uri) == expected
