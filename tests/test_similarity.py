from __future__ import annotations

import numpy as np
import pytest

from imagefeatures import similarity


def test_neighbours_have_the_highest_cosines() -> None:
    angles = np.radians([0, 10, 90, 95, 200])
    unit = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    near, cosines = similarity.nearest(unit, 2)
    assert near[:, 0].tolist() == [1, 0, 3, 2, 3]
    assert cosines[0, 0] == pytest.approx(np.cos(np.radians(10)), abs=1e-6)
    assert (np.diff(cosines, axis=1) <= 0).all()


def test_no_photo_is_its_own_neighbour_and_of_equal_ones_the_first_is_nearest() -> None:
    unit = np.float32([[1, 0], [1, 0], [1, 0], [0, 1]])
    near, cosines = similarity.nearest(unit, 3)
    assert near.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert cosines.tolist() == [[1, 1, 0], [1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_vectors_get_length_one_however_short_they_are_and_a_zero_vector_stays_zero() -> None:
    vectors = np.float32([[3, 4], [0.003, 0.004], [0, 0]])
    assert similarity.unit_length(vectors) == pytest.approx(np.float32([[0.6, 0.8], [0.6, 0.8], [0, 0]]))


def test_too_few_photos_for_a_map_lie_side_by_side() -> None:
    unit = similarity.unit_length(np.eye(4, dtype=np.float32))
    assert similarity.map_to_plane(unit).tolist() == [[0, 0], [1, 0], [2, 0], [3, 0]]
    assert similarity.map_to_plane(unit[:0]).shape == (0, 2)


@pytest.mark.parametrize(
    "unit",
    [
        np.tile(similarity.unit_length(np.random.default_rng(1).random((1, 1280), np.float32)), (6, 1)),
        np.ones((6, 1), np.float32),
        np.float32([[1]] * 5 + [[-1]]),
    ],
)
def test_vectors_that_t_sne_cannot_place_lie_side_by_side(unit: np.ndarray) -> None:
    assert similarity.map_to_plane(unit).tolist() == [[at, 0] for at in range(6)]


@pytest.mark.parametrize("spread", [False, True])
def test_where_rounding_leaves_no_variance_photos_lie_side_by_side(
    spread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """spread: whether the first component has a variance. The second one never has."""
    from sklearn import decomposition, manifold

    class Rounded:
        def __init__(self, *_: object, **options: object) -> None:
            pass

        def fit_transform(self, of: np.ndarray) -> np.ndarray:
            return np.column_stack([np.arange(len(of)) * 0.5 * spread, np.full(len(of), 3.0)])

    monkeypatch.setattr(decomposition, "PCA", Rounded)
    monkeypatch.setattr(manifold, "TSNE", Rounded)
    unit = similarity.unit_length(np.random.default_rng(3).random((8, 4), np.float32))
    of_t_sne, in_a_row = [[at * 0.5, 3] for at in range(8)], [[at, 0] for at in range(8)]
    assert similarity.map_to_plane(unit).tolist() == (of_t_sne if spread else in_a_row)


@pytest.mark.parametrize(
    ("photos", "numbers", "components", "perplexity"), [(10, 60, 10, 3), (120, 60, 50, 30), (8, 2, 2, 7 / 3)]
)
def test_t_sne_gets_the_first_components_and_a_third_of_the_photos_as_neighbours(
    photos: int, numbers: int, components: int, perplexity: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn import manifold

    given: list[object] = []

    class Noted:
        def __init__(self, **options: object) -> None:
            given.append(options)

        def fit_transform(self, of: np.ndarray) -> np.ndarray:
            given.append(of.shape)
            return of[:, :2]

    monkeypatch.setattr(manifold, "TSNE", Noted)
    unit = similarity.unit_length(np.random.default_rng(3).random((photos, numbers), np.float32))
    assert similarity.map_to_plane(unit).shape == (photos, 2)
    assert given == [
        {"perplexity": pytest.approx(perplexity), "init": "pca", "random_state": 0}, (photos, components),
    ]  # fmt: skip


def test_no_neighbours_are_asked_for_among_none() -> None:
    for rows in (0, 1):
        near, cosines = similarity.nearest(np.ones((rows, 2), np.float32), 0)
        assert near.shape == cosines.shape == (rows, 0)


@pytest.mark.parametrize("each", [5, 60])
def test_on_the_map_photos_that_look_alike_are_close_together(each: int) -> None:
    """With fewer photos than numbers, and with more."""
    noise = np.random.default_rng(7).normal(scale=0.05, size=(2 * each, 60))
    unit = similarity.unit_length((np.repeat(np.eye(60)[:2], each, axis=0) + noise).astype(np.float32))
    points = similarity.map_to_plane(unit)
    assert points.shape == (2 * each, 2)
    assert np.array_equal(points, similarity.map_to_plane(unit))
    one, other = points[:each], points[each:]
    apart = np.linalg.norm(one.mean(axis=0) - other.mean(axis=0))
    assert apart > 2 * max(np.linalg.norm(part - part.mean(axis=0), axis=1).mean() for part in (one, other))
