"""Drift is a matter of chance where nothing has changed, at the rate that its level says, and is seen where it has."""

from __future__ import annotations

import numpy as np
import pytest

from imagefeatures.quality import drift as drifting
from imagefeatures.quality.drift import DRAWS, Drift, drift
from imagefeatures.quality.sketch import Sketch, Sums, projection
from imagefeatures.similarity import unit_length
from support.measured import clouds


def drift_of(now: np.ndarray, before: list[np.ndarray], level: float = 0.01, seed: int = 0) -> Drift:
    sums = [Sums(seed) for _ in (now, *before)]
    for one, vectors in zip(sums, (now, *before), strict=True):
        one.add(vectors)
    sketch, *reference = [one.sketch for one in sums if one.sketch]
    return drift(sketch, sums[0].sample, Sketch.pooled(reference), level, seed)


def test_the_distance_is_that_of_the_kernel_over_all_pairs() -> None:
    now, before = unit_length(clouds(0, 80, shift=0.3)), unit_length(clouds(1, 120))

    def mean_kernel(one: np.ndarray, other: np.ndarray) -> float:
        projected = one @ projection(one.shape[1]), other @ projection(one.shape[1])
        return float((one @ other.T + (projected[0] @ projected[1].T) ** 2).mean())

    mmd = mean_kernel(now, now) + mean_kernel(before, before) - 2 * mean_kernel(now, before)
    kernel = now @ now.T + ((now @ projection(16)) @ (now @ projection(16)).T) ** 2
    variance = (np.trace(kernel) / 80 - kernel.mean()) * 80 / 79
    expected = (mmd - variance * (1 / 80 + 1 / 120)) / (2 * variance)
    assert drift_of(now, [before]).score == pytest.approx(expected, rel=1e-3)


def test_chance_exceeds_the_bound_as_often_as_the_level_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drifting, "DRAWS", 199)
    found = [drift_of(clouds(3 * n, 60), [clouds(3 * n + 1, 70), clouds(3 * n + 2, 50)], 0.1, n) for n in range(100)]
    beyond = sum(one.score > one.bound for one in found)
    assert 2 <= beyond <= 19  # 10 of 100, give or take three standard deviations
    assert beyond - 4 <= sum(one.probability <= 0.1 for one in found) <= beyond + 4
    assert abs(np.mean([one.score for one in found])) < 0.003  # without what chance adds


@pytest.mark.parametrize("shift", [0.4, -0.4])
def test_a_shift_is_no_chance(shift: float) -> None:
    found = drift_of(clouds(0, 100, shift=shift), [clouds(1, 100), clouds(2, 100)])
    assert found.probability == 1 / (1 + DRAWS)
    assert found.score > 3 * found.bound > 0


def test_pictures_that_vary_in_another_way_about_the_same_mean_are_seen() -> None:
    random = np.random.default_rng(0)

    def around(spread: np.ndarray) -> np.ndarray:
        half = np.ones(16) + random.normal(0, 1, (400, 16)) * spread
        return np.concatenate([half, 2 - half]).astype(np.float32)  # symmetrical: the mean before scaling is the same

    early, late = np.repeat([1.0, 0.1], 8), np.repeat([0.1, 1.0], 8)
    assert drift_of(around(early), [around(early)]).probability > 0.01
    assert drift_of(around(late), [around(early)]).probability == 1 / (1 + DRAWS)


def test_pictures_that_are_all_the_same_have_no_drift_until_they_change() -> None:
    same, other = np.ones((60, 16), np.float32), np.ones((60, 16), np.float32)
    other[:, 0] = 3
    assert drift_of(same, [same]).probability == 1
    assert drift_of(other, [same]).probability == 1 / (1 + DRAWS)
    zero = np.zeros((60, 16), np.float32)
    assert drift_of(zero, [zero]).probability == 1


def test_the_same_seed_gives_the_same_drift() -> None:
    assert drift_of(clouds(0), [clouds(1)], seed=7) == drift_of(clouds(0), [clouds(1)], seed=7)


def test_bound_and_probability_are_those_of_the_draws() -> None:
    now, before = Sums(0), Sums(1)
    now.add(clouds(0, 60, shift=0.12))
    before.add(clouds(1, 90))
    assert now.sketch
    assert before.sketch
    found = drift(now.sketch, now.sample, before.sketch, 0.2, 7)
    centred = drifting._centred(now.sample)
    variance = np.trace(centred) / 59
    noise = variance * (1 / 60 + 1 / 90)
    draws = drifting._distances(centred, 60, 90, np.random.default_rng(7))
    distance = found.score * 2 * variance + noise
    assert found.bound == pytest.approx(np.quantile((draws - noise) / (2 * variance), 0.8))
    assert found.probability == pytest.approx((1 + (draws >= distance).sum()) / (1 + DRAWS))
    assert 1 / (1 + DRAWS) < found.probability < 0.9


def test_the_kernel_is_taken_in_the_space_in_which_its_mean_is_the_origin() -> None:
    sample = unit_length(clouds(0, 20))
    projected = (sample @ projection(16)).astype(float)
    kernel = sample.astype(float) @ sample.T + (projected @ projected.T) ** 2
    centre = np.eye(20) - 1 / 20
    np.testing.assert_allclose(drifting._centred(sample), centre @ kernel @ centre, atol=1e-5)


def test_distances_are_those_of_two_sets_that_are_drawn_from_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drifting, "DRAWS", 5)
    vectors = np.random.default_rng(0).normal(size=(10, 3))
    random = np.random.default_rng(3)
    sets = [random.multinomial(count, np.full(10, 1 / 10), 5) / count for count in (40, 30)]
    apart = (sets[0] - sets[1]) @ vectors
    found = drifting._distances(vectors @ vectors.T, 40, 30, np.random.default_rng(3))
    np.testing.assert_allclose(found, (apart**2).sum(axis=1) * 10 / 9)


def test_pictures_that_are_all_the_same_are_as_far_apart_as_they_have_moved() -> None:
    same, other = np.ones((60, 16), np.float32), np.ones((60, 16), np.float32)
    other[:, 0] = 3
    moved = unit_length(other[:1]).astype(float)[0] - unit_length(same[:1])[0]
    found = drift_of(other, [same])
    assert found.bound == 0
    assert found.score > moved @ moved > 0.1  # and their second moments have moved too
