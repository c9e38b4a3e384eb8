"""Which rows are held out, and which labels are fitted."""

from __future__ import annotations

import hashlib
from collections import Counter

import pyarrow as pa
import pytest

from imagefeatures import read
from imagefeatures.errors import InputError
from imagefeatures.learning import split
from imagefeatures.learning.split import Survey
from imagefeatures.settings import Settings
from support import learning


def test_without_a_seed_the_sides_are_those_of_read_open(settings: Settings) -> None:
    learning.publish(settings, learning.rows())
    for share in (0.05, 0.2, 0.5):
        sides = {}
        for rows in read.batches(settings, "fruit", columns=("uri", "image_id")):
            found = split.held_out(rows.column("image_id"), share, 0)
            sides |= dict(zip(rows.column("uri").to_pylist(), found.tolist(), strict=True))
        test = read.open("fruit", settings=settings, split="test", test_share=share).to_numpy().uris
        assert {uri for uri, held in sides.items() if held} == set(test)
        assert 0 < len(test) < len(sides)


def test_a_seed_gives_other_sides_and_the_same_each_time() -> None:
    image_ids = pa.array([row["image_id"] for row in learning.rows(2000)])
    sides = {seed: split.held_out(image_ids, 0.2, seed).tolist() for seed in (0, 1, 2)}
    assert sides[1] != sides[0] != sides[2] != sides[1]
    assert split.held_out(image_ids, 0.2, 1).tolist() == sides[1]
    assert all(0.17 < sum(side) / 2000 < 0.23 for side in sides.values())


@pytest.mark.parametrize("seed", [0, 7])
def test_equal_bytes_are_on_one_side_under_any_name_and_label(seed: int) -> None:
    rows = learning.rows(400)
    for number in range(0, 400, 2):  # every second one has the bytes of the next, and another label
        rows[number]["image_id"] = rows[number + 1]["image_id"]
    table = pa.Table.from_pylist(rows).select(["image_id", "label"])
    held = split.held_out(table["image_id"].combine_chunks(), 0.2, seed)
    assert (held[::2] == held[1::2]).all()
    assert 0 < held.sum() < len(held)


def test_a_larger_share_takes_no_image_from_the_held_out_ones() -> None:
    image_ids = pa.array([row["image_id"] for row in learning.rows(500)])
    small, large = (split.held_out(image_ids, share, 3) for share in (0.1, 0.4))
    assert (small <= large).all()
    assert small.sum() < large.sum()


def test_a_survey_counts_both_sides_and_what_has_no_label() -> None:
    table = pa.table({"image_id": ["0" * 64, "f" * 64, "f" * 64, "0" * 64], "label": ["fig", "fig", "pear", None]})
    found = split.survey(table.to_batches(max_chunksize=3), 0.2, 0)
    assert found == Survey(train=Counter(fig=1, pear=1), test=Counter(fig=1), unlabelled=1)


def test_labels_with_too_few_images_are_left_out_and_named() -> None:
    found = Survey(Counter(fig=8, pear=9, kiwi=1, plum=3), Counter(fig=2, pear=1, kiwi=4))
    labels = split.fitted_labels(found, "fruit")
    assert labels.fitted == ("fig", "pear")
    assert dict(labels.left_out) == {"kiwi": 5, "plum": 3}
    assert "kiwi (5), plum (3)" in str(labels.warning)
    assert split.fitted_labels(Survey(Counter(fig=2, pear=2), Counter(fig=1, pear=1)), "fruit").warning is None


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        (Survey(unlabelled=5), "no image has a label, .* set label: in fruit.yaml and run features_fruit again"),
        (Survey(Counter(fig=9), Counter(fig=2)), "every label is fig, .* add images with other labels"),
        (Survey(Counter(fig=1, pear=9), Counter(fig=1, pear=2)), "fewer than two labels have 2 images .* add images"),
    ],
)
def test_labels_that_cannot_be_fitted_are_an_error_with_its_remedy(found: Survey, remedy: str) -> None:
    with pytest.raises(InputError, match=f"^features.fruit: {remedy}") as raised:
        split.fitted_labels(found, "fruit")
    assert "\n" not in str(raised.value)


def test_more_labels_than_a_classifier_takes_are_refused() -> None:
    many = {f"label-{number}": 9 for number in range(split.MOST_LABELS + 1)}
    with pytest.raises(InputError, match="1,001 labels"):
        split.fitted_labels(Survey(Counter(many), Counter(many)), "fruit")
    del many["label-0"]
    assert len(split.fitted_labels(Survey(Counter(many), Counter(many)), "fruit").fitted) == split.MOST_LABELS


def test_no_more_than_five_labels_that_are_left_out_are_named() -> None:
    named = "a (1), b (1), c (1), d (1), e (1)"
    assert str(split.Labels((), dict.fromkeys("abcde", 1)).warning).endswith(f"are needed: {named}")
    assert str(split.Labels((), dict.fromkeys("abcdefg", 1)).warning).endswith(f"are needed: {named} and 2 more")


def test_the_key_of_an_image_is_its_id_or_with_a_seed_a_hash_of_both() -> None:
    assert split.keys(["a", "b"], 0) == ["a", "b"]
    assert split.keys(["a"], 7) == [hashlib.sha256(b"7:a").hexdigest()]
    assert split.bound(1) > "f" * 64


def test_rows_beyond_the_most_are_left_out_of_common_labels_alone() -> None:
    labels = split.Labels(("common", "rare"), {})
    found = Survey(Counter(common=100_000, rare=20))
    shares = split.shares_fitted(found, labels, 10_000)
    assert shares["rare"] == 1
    assert shares["common"] == pytest.approx(0.1, rel=1e-3)
    assert split.shares_fitted(found, labels, 200_000) == {"common": 1, "rare": 1}


@pytest.mark.parametrize("seed", [0, 7])
def test_the_rows_that_are_fitted_are_counted_and_not_estimated(seed: int) -> None:
    rows = learning.rows(1000)
    table = pa.Table.from_pylist(rows).select(["image_id", "label"])
    held = split.held_out(table["image_id"].combine_chunks(), 0.2, seed)
    shares = {"apple": 0.3, "fig": 1.0}  # pear is left out
    expected = 0
    for row, is_held_out in zip(rows, held, strict=True):
        place = int(hashlib.sha256(f"fit:{row['image_id']}".encode()).hexdigest()[:16], 16) / 2**64
        expected += not is_held_out and place < shares.get(row["label"], 0)
    found = split.rows_fitted(table.to_batches(max_chunksize=99), 0.2, seed, shares)
    assert found == expected
    train = split.survey(table.to_batches(), 0.2, seed).train
    assert train["fig"] < found < train["fig"] + train["apple"]
