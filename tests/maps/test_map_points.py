"""What a map shows, photo by photo: which are sampled, in which order, and where those beside the sample lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagefeatures import similarity
from imagefeatures.errors import InputError
from imagefeatures.maps import compute
from imagefeatures.maps.choice import Choice
from imagefeatures.settings import Settings
from support.auditing import direction, photos
from support.publishing import DAY

ALL = Choice("photos", ((DAY, "run"),))


def names_of(made: compute.FeatureMap) -> list[str]:
    return [uri.rpartition("/")[2] for uri in made.points["uri"].to_pylist()]


def test_a_sample_is_taken_in_an_order_that_is_always_the_same(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "PROJECTED", 3)
    monkeypatch.setattr(compute, "SHOWN", 6)
    photos(settings, tmp_path, [(f"{at}", bytes([at]), None, direction(at)) for at in range(8)])
    made = compute.compute(settings, ALL)
    assert names_of(made) == ["5", "3", "2", "6", "1", "4"]
    assert (made.facts["photos"], made.facts["images"], made.facts["shown"], made.facts["projected"]) == (8, 8, 6, 3)
    assert made.facts["fingerprint"] == "f" * 32
    assert made.facts["sample"] == "6 of 8 images, by a seeded hash of their image_id"
    monkeypatch.setattr(compute, "SHOWN", 8)
    assert names_of(compute.compute(settings, ALL))[:6] == names_of(made)
    assert compute.compute(settings, ALL).facts["sample"] == "all images"


def test_an_augmented_copy_is_on_no_map(settings: Settings, tmp_path: Path) -> None:
    rows = [(f"{at}", bytes([at]), None, direction(at)) for at in range(4)]
    photos(settings, tmp_path, rows, copy=[0, 1, 0, 0])
    made = compute.compute(settings, ALL)
    assert sorted(names_of(made)) == ["0", "2", "3"]
    assert made.facts["photos"] == 3


def test_of_equal_bytes_the_first_row_is_shown(settings: Settings, tmp_path: Path) -> None:
    rows = [("a", b"same", "fig", direction(0)), ("b", b"b", None, direction(5)), ("c", b"same", "pear", direction(0))]
    photos(settings, tmp_path, rows)
    made = compute.compute(settings, ALL)
    assert sorted(zip(names_of(made), made.points["label"].to_pylist(), strict=True)) == [("a", "fig"), ("b", None)]
    assert made.points["near"].to_pylist() == [[1], [0]]


def test_partitions_without_photos_have_no_map(settings: Settings, tmp_path: Path) -> None:
    photos(settings, tmp_path, [("a", b"a", None, direction(0))])
    with pytest.raises(InputError, match=r"^features\.photos has no photos here$"):
        compute.compute(settings, Choice("photos", (("2020-01-01", "run"),)))


def test_photos_are_placed_beside_the_sample_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "PROJECTED", 4)
    unit = similarity.unit_length(
        np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [2, 1], [1, 1], [-3, 1], [1, 2], [5, 1]], np.float32)
    )
    wanted = [(0 * 2 + 1 * 1) / 3, 1 / 2, (2 * 3 + 1 * 1) / 4, (0 * 1 + 1 * 2) / 3, 1 / 6]
    for block in (512, 5, 2, 1):
        monkeypatch.setattr(similarity, "BLOCK", block)
        placed = compute.place(unit)
        assert (placed.shape, placed.dtype) == ((9, 2), np.float32)
        assert placed[:4].tolist() == [[0, 0], [1, 0], [2, 0], [3, 0]]  # in a row: they are too few
        assert placed[4:, 0] == pytest.approx(wanted, abs=1e-5)
        assert not placed[4:, 1].any()


@pytest.mark.parametrize(
    ("shown", "projected", "spread", "method"),
    [
        (4, 4, 1.0, "in a row: there are too few for t-SNE"),
        (5, 5, 0.0, "in a row: their vectors are all equal"),
        (5, 5, 1.0, "t-SNE of the first 50 principal components of the vectors, scaled to length 1"),
        (6, 5, 1.0, "t-SNE of the first 50 principal components of the vectors, scaled to length 1, for 5 of them; "
                    "each other one in the middle of the 3 of these nearest to it"),
    ],
)  # fmt: skip
def test_the_method_is_told_in_words(shown: int, projected: int, spread: float, method: str) -> None:
    positions = np.column_stack([np.arange(shown), spread * np.arange(shown)])
    assert compute._method(positions, projected) == method
