"""Whether one picture is the other, or a part of it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imagefeatures.audits import overlap as overlaps
from imagefeatures.audits.overlap import FLAT, SIDE, SIDES, grey, overlap
from support.auditing import scene


def shown(seed: int) -> np.ndarray:
    return np.asarray(scene(seed, SIDE).convert("L"), np.float32)


def test_flat_pictures_do_not_overlap() -> None:
    flat, other = np.full((SIDE, SIDE), 200, np.float32), np.asarray(scene(1, SIDE).convert("L"), np.float32)
    assert overlap(flat, flat) == overlap(flat, other) == overlap(other, flat) == 0
    assert overlap(other, other) == pytest.approx(1, abs=1e-4)
    assert overlap(other, 255 - other) < 0.9


@pytest.mark.parametrize(("apart", "is_flat"), [(FLAT, False), (FLAT - 0.01, True)])
def test_a_picture_is_flat_below_a_deviation(apart: float, is_flat: bool) -> None:
    picture = np.full((SIDE, SIDE), 100 - apart, np.float32)
    picture[:, SIDE // 2 :] = 100 + apart
    assert overlap(picture, picture) == (0 if is_flat else pytest.approx(1, abs=1e-3))


@pytest.mark.parametrize("grey_value", [255, 254.3, 200, 137])
@pytest.mark.parametrize("seed", range(6))
def test_an_empty_part_of_a_picture_is_no_other_picture(grey_value: float, seed: int) -> None:
    """A narrow thing on an empty ground: the sums over the ground are nothing but rounding errors."""
    narrow = np.full((SIDE, SIDE), grey_value, np.float32)
    narrow[:, :8] = np.random.default_rng(seed).integers(0, 256, (SIDE, 8))
    assert overlap(narrow, shown(seed)) == overlap(shown(seed), narrow) < 0.6
    assert overlap(narrow, narrow) == pytest.approx(1, abs=1e-3)


def test_a_part_that_deviates_less_than_a_flat_picture_counts_for_less() -> None:
    pattern, least = shown(1), min(SIDES)
    small = overlaps._shrink(least) @ pattern @ overlaps._shrink(least).T
    small = (small - small.mean()) / small.std()
    for deviation, count in ((FLAT / 2, pytest.approx(1 / 2, abs=0.1)), (4 * FLAT, pytest.approx(1, abs=0.02))):
        whole = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE)).astype(np.float32)
        whole[:least, :least] = 200 + deviation * small
        assert overlap(whole, pattern) == count


def test_grey_is_the_luma_of_pillow() -> None:
    picture = scene(1, SIDE)
    assert grey(np.asarray(picture)) == pytest.approx(np.asarray(picture.convert("L")), abs=1)


@pytest.mark.parametrize("side", SIDES)
def test_a_picture_is_made_smaller_by_the_filter_that_pillow_calls_bilinear(side: int) -> None:
    picture = Image.fromarray(shown(1))
    wanted = np.asarray(picture.resize((SIDE, side), Image.Resampling.BILINEAR))
    assert overlaps._shrink(side) @ np.asarray(picture) == pytest.approx(wanted, abs=1e-3)


def test_a_part_has_five_sixths_of_each_side_at_least() -> None:
    assert [*SIDES] == [48, 46, 44, 42, 40]
    whole = shown(1)
    for height, width in ((48, 40), (40, 48), (40, 40), (44, 42)):
        part = Image.fromarray(whole[SIDE - height :, SIDE - width :]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        assert overlap(whole, np.asarray(part)) > 0.98
    half = Image.fromarray(whole[: SIDE // 2]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    assert overlap(whole, np.asarray(half)) < 0.9
