"""What the index learns, how much it looks into, and that its parts put together are the whole."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import similarity
from imagefeatures.audits import gallery, index
from imagefeatures.settings import Settings
from support.auditing import WIDTH, direction, photos

COUNT = 3


def unit(images: int = 120) -> np.ndarray:
    """Vectors of length 1 in no order."""
    return similarity.unit_length(np.random.default_rng(3).normal(size=(images, WIDTH)).astype(np.float32))


def stored(vectors: np.ndarray, tmp_path: Path) -> index.Stored:
    with (tmp_path / "vectors").open("w+b") as file:
        index.write(file, vectors)
        return index.Stored.of_file(file, len(vectors), np.arange(len(vectors)))


def learnt(vectors: np.ndarray, tmp_path: Path, count: int = COUNT) -> index._Search:
    return index._Search.learnt(stored(vectors, tmp_path), count, np.random.default_rng(0))


def test_each_effort_is_greater_than_the_one_before() -> None:
    for one, more in pairwise(index.EFFORTS):
        assert all(less < greater for less, greater in zip(one, more, strict=True))
    assert {len(effort) for effort in index.EFFORTS} == {2}


def test_the_blocks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit()
    whole = index.nearest(stored(vectors, tmp_path), COUNT)
    monkeypatch.setattr(index, "GATHERED", 7)
    monkeypatch.setattr(index, "SEARCHED", 11)
    parts = index.nearest(stored(vectors, tmp_path), COUNT)
    near, cosines = similarity.nearest(vectors, COUNT)
    for found in (whole, parts):
        assert (found.near == near).all()
        assert found.cosines == pytest.approx(cosines, abs=1e-6)
        assert (found.recall, found.sampled) == (1, 60)


def test_the_effort_is_chosen_with_one_half_of_the_sample_and_judged_with_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[int] = []
    real = index._recall

    def recall(cosines: np.ndarray, least: np.ndarray) -> float:
        judged.append(len(least))
        return real(cosines, least)

    monkeypatch.setattr(index, "_recall", recall)
    monkeypatch.setattr(index, "SAMPLE", 50)
    monkeypatch.setattr(index, "ENOUGH", 1.0)
    assert index.nearest(stored(unit(), tmp_path), COUNT).recall == 1
    assert judged == [25, 25]  # all neighbours are found with the first effort: no other is made


def test_one_image_has_no_neighbours_and_nothing_is_missed(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(settings, tmp_path, [("a", b"a", "fig", direction(1))])
    monkeypatch.setattr(gallery, "MOST_COMPARED", 0)
    found = gallery.load(settings, "photos", 5)
    assert (found.near.shape, found.recall, found.sampled) == ((1, 0), 1, 1)


def test_an_image_has_no_more_neighbours_than_there_are_others(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    angles = {"d": 7, "b": 1, "a": 0, "c": 3}
    photos(settings, tmp_path, [(name, name.encode(), None, direction(far)) for name, far in angles.items()])
    for most in (4, 3):
        monkeypatch.setattr(gallery, "MOST_COMPARED", most)
        found = gallery.load(settings, "photos", 10)
        assert (found.recall is None) == (most == 4)
        assert [str(uri).rpartition("/")[2] for uri in found.column("uri")] == ["a", "b", "c", "d"]
        assert found.near.tolist() == [[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]]
        assert found.cosines[0] == pytest.approx(np.cos(np.radians([1, 3, 7])), abs=1e-6)


@pytest.mark.parametrize(("images", "per_list", "lists"), [(120, 1, 43), (120, 50, 2), (120, 200, 1)])
def test_there_are_as_many_lists_as_can_be_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: int, per_list: int, lists: int
) -> None:
    monkeypatch.setattr(index, "PER_LIST", per_list)
    assert learnt(unit(images), tmp_path).lists.nlist == lists


def test_so_many_lists_are_looked_into_and_so_many_images_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "PER_LIST", 40)
    search = learnt(unit(), tmp_path, 2)
    assert search._candidates(unit()[:5], (2, 4)).shape == (5, 2 * 4 + 1)
    assert search.lists.nprobe == 2
    assert search._candidates(unit()[:5], (3, 1000)).shape == (5, 120)


def test_a_list_that_holds_just_as_many_images_as_neighbours_are_wanted_is_too_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.zeros((20, WIDTH), np.float32)
    vectors[:COUNT, 0], vectors[COUNT:, 1] = 1, 1
    vectors[:, 2:] = np.random.default_rng(0).normal(size=(20, WIDTH - 2)) / 100
    monkeypatch.setattr(index, "PER_LIST", 10)
    search = learnt(similarity.unit_length(vectors), tmp_path)
    near, cosines = search.of(np.arange(20), (1, 4))
    assert np.isfinite(cosines).all()
    assert (near[:COUNT] < COUNT).sum() == COUNT * (COUNT - 1)
