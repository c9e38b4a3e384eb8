"""Which photos a page of the gallery has, in which order, and which labels can be chosen."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from imagefeatures_airflow.web import gallery, rendering, rows
from imagefeatures_airflow.web.gallery import UNLABELLED, View

LONG = "x" * (rendering.LONGEST_LABEL + 1)
LONGEST = "y" * rendering.LONGEST_LABEL
#         uri, label, size, distance
PHOTOS = [
    ("a", "fig", 30, 0.5),
    ("b", "pear", 20, 0.1),
    ("c", "fig", 20, 0.9),
    ("d", None, 50, 0.5),
    ("e", "none", 10, 0.3),
    ("f", LONG, 40, 0.2),
    ("g", LONGEST, 60, 0.0),
]
OF: Any = None  # rows are given whatever the partition is


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pa.table(dict(zip(("uri", "label", "size", "distance"), zip(*PHOTOS, strict=True), strict=True)))
    monkeypatch.setattr(rows, "photos", lambda _: whole.drop_columns(["distance"]))
    monkeypatch.setattr(rows, "photos_with_distances", lambda _: whole)


def photos(view: View, page: int = 1) -> tuple[str, dict[str, Any]]:
    found = gallery.photos(OF, view, page)
    return "".join(row["uri"] for row in found["photos"]), found


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("uri", "abcdefg"),
        ("farthest", "cadefbg"),
        ("nearest", "gbfeadc"),
        ("largest", "gdfabce"),
        ("smallest", "ebcafdg"),
    ],
)
def test_photos_are_ordered_and_equal_ones_by_their_name(sort: Any, order: str) -> None:
    shown, found = photos(View(sort=sort))
    assert shown == order
    assert (found["fitting"], found["read"]) == (7, 7)
    assert ("distance" in found["photos"][0]) == (sort in ("farthest", "nearest"))


@pytest.mark.parametrize(("label", "shown"), [("=fig", "ac"), ("=none", "e"), (UNLABELLED, "d"), ("=kiwi", "")])
def test_photos_of_one_label_or_of_none_are_shown(label: str, shown: str) -> None:
    uris, found = photos(View(label))
    assert (uris, found["fitting"], found["read"]) == (shown, len(shown), 7)


def test_a_page_has_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "ON_A_PAGE", 3)
    assert [photos(View(), page)[0] for page in (1, 2, 3, 4, 10**15)] == ["abc", "def", "g", "", ""]
    assert photos(View("=fig"), 2)[0] == ""


def test_labels_to_choose_are_the_most_frequent_first_and_of_equal_ones_the_first_name() -> None:
    labels = photos(View())[1]["labels"]
    assert labels == [
        ("=fig", "fig", 2), (UNLABELLED, None, 1), ("=none", "none", 1), ("=pear", "pear", 1),
        (f"={LONGEST}", LONGEST, 1),
    ]  # fmt: skip
    assert photos(View())[1]["all_labels"] == 5  # a longer one fits into no address


def test_a_label_that_is_chosen_is_among_those_to_choose_however_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "MOST_LABELS", 1)
    first = ("=fig", "fig", 2)
    for label, labels in (
        ("", [first]), ("=fig", [first]), ("=pear", [first, ("=pear", "pear", 1)]),
        ("=kiwi", [first, ("=kiwi", "kiwi", 0)]), (UNLABELLED, [first, (UNLABELLED, None, 1)]),
    ):  # fmt: skip
        found = photos(View(label))[1]
        assert (found["labels"], found["all_labels"]) == (labels, 5)
