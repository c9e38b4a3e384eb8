"""Which labels are doubted: by the exact shares of neighbours."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures.audits import gallery, labels
from imagefeatures.errors import InputError
from imagefeatures.settings import Settings
from support.auditing import direction, photos
from support.publishing import DAY

ANGLES = {"a1": (0, "fig"), "a2": (1, "fig"), "a3": (2, "pear"), "b1": (90, "pear"), "b2": (91, "pear")}


def doubted(settings: Settings, neighbours: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = labels.doubtful(gallery.load(settings, "photos", neighbours)).to_pylist()
    return rows


def name(uri: str) -> str:
    return uri.rpartition("/")[2]


def cosine(degrees: float) -> float:
    return float(np.cos(np.radians(degrees)))


@pytest.fixture
def fruit(settings: Settings, tmp_path: Path) -> None:
    photos(settings, tmp_path, [(n, n.encode(), label, direction(at)) for n, (at, label) in ANGLES.items()])


@pytest.mark.usefixtures("fruit")
def test_a_photo_among_photos_of_another_label_is_doubted_most(settings: Settings) -> None:
    found = doubted(settings, 2)
    assert [(name(row["uri"]), row["label"], row["suggested"]) for row in found] == [
        ("a3", "pear", "fig"),
        ("a2", "fig", "pear"),
        ("a1", "fig", "pear"),
    ]
    shares = [1, 1 / 2, cosine(2) / (cosine(1) + cosine(2))]
    assert [row["doubt"] for row in found] == pytest.approx(shares, abs=1e-6)
    assert [name(uri) for uri in found[0]["neighbours"]] == ["a2", "a1"]
    assert {row["partition_key"] for row in found} == {DAY}
    assert found[0]["image_id"] == hashlib.sha256(b"a3").hexdigest()
    assert list(found[0]) == ["uri", "image_id", "partition_key", "label", "suggested", "doubt", "neighbours"]


def test_photos_without_a_label_have_no_voice_and_are_not_judged(settings: Settings, tmp_path: Path) -> None:
    rows = [("a", b"a", "fig", direction(0)), ("b", b"b", None, direction(1)), ("c", b"c", "pear", direction(20))]
    photos(settings, tmp_path, rows)
    assert doubted(settings, 1) == []
    found = {name(row["uri"]): row["doubt"] for row in doubted(settings, 2)}
    assert found == {"a": 1.0, "c": 1.0}


def test_the_label_that_is_suggested_has_the_most_weight_and_of_equal_ones_the_last_name(
    settings: Settings, tmp_path: Path
) -> None:
    rows = [("a", b"a", "fig", direction(0)), ("b", b"b", "plum", direction(5)), ("c", b"c", "pear", direction(-5))]
    far = [("d", b"d", "apple", direction(90)), ("e", b"e", "kiwi", direction(92)), ("f", b"f", "kiwi", direction(93))]
    photos(settings, tmp_path, [*rows, *far])
    suggested = {name(row["uri"]): row["suggested"] for row in doubted(settings, 2)}
    assert (suggested["a"], suggested["d"]) == ("plum", "kiwi")
    suggested = {name(row["uri"]): row["suggested"] for row in doubted(settings, 5)}
    assert suggested["d"] == "kiwi"  # though plum comes later by its name


def test_of_equal_doubts_the_nearer_neighbours_come_first_and_then_the_first_photo(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("far 1", b"1", "pear", direction(0)), ("far 2", b"2", "fig", direction(20))]
    rows += [("near 1", b"3", "pear", direction(180)), ("near 2", b"4", "fig", direction(181))]
    photos(settings, tmp_path, rows)
    found = doubted(settings, 1)
    assert [name(row["uri"]) for row in found] == ["near 1", "near 2", "far 1", "far 2"]
    assert [row["doubt"] for row in found] == [1.0] * 4
    monkeypatch.setattr(labels, "AT_ONCE", 1)
    assert doubted(settings, 1) == found


def test_a_greater_doubt_comes_first_however_far_the_neighbours_are(settings: Settings, tmp_path: Path) -> None:
    rows = [("a", b"a", "fig", direction(0)), ("b", b"b", "fig", direction(1)), ("c", b"c", "pear", direction(-2))]
    photos(settings, tmp_path, [*rows, ("d", b"d", "plum", direction(80))])
    found = {name(row["uri"]): row["doubt"] for row in doubted(settings, 2)}
    assert list(found) == ["c", "d", "a", "b"]
    assert [found["c"], found["d"]] == [1.0, 1.0]


def test_equal_bytes_are_one_image_and_no_neighbours(settings: Settings, tmp_path: Path) -> None:
    rows = [
        ("a", b"same", "fig", direction(0)),
        ("b", b"same", "pear", direction(0)),
        ("c", b"c", "fig", direction(5)),
        ("d", b"d", "fig", direction(6)),
    ]
    photos(settings, tmp_path, rows)
    found = gallery.load(settings, "photos", 10)
    assert (len(found.image), len(found.first), found.near.shape) == (4, 3, (3, 2))
    assert [(name(row["uri"]), row["doubt"]) for row in labels.doubtful(found).to_pylist()] == [("b", 1.0)]


def test_vectors_that_point_away_have_no_voice(settings: Settings, tmp_path: Path) -> None:
    rows = [("a", b"a", "fig", direction(0)), ("b", b"b", "pear", direction(180))]
    photos(settings, tmp_path, rows)
    assert doubted(settings, 5) == []


@pytest.mark.usefixtures("fruit")
def test_a_partition_without_photos_is_refused(settings: Settings) -> None:
    with pytest.raises(InputError, match=r"^features\.photos has no photos here$"):
        gallery.load(settings, "photos", 5, ["2026-12-24"])


def test_vectors_of_two_models_are_not_compared(settings: Settings, tmp_path: Path) -> None:
    rows = [("a", b"a", "fig", direction(0)), ("b", b"b", "pear", direction(1))]
    photos(settings, tmp_path, rows, fingerprint=["a" * 32, "b" * 32])
    with pytest.raises(InputError, match="were computed in several ways"):
        gallery.load(settings, "photos", 5)
