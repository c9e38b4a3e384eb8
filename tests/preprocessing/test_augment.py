"""`augment`: what a copy's pixels are, by a computation of its own, and what is refused."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from imagefeatures import isolation
from imagefeatures.datasets import Dataset
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import Chains, Preprocessing, augment, declared
from imagefeatures.wording import one_line
from support import copies
from support.photos import encoded, picture
from support.shared import SPEC

END = {"resize": {"size": [224, 224]}}
MANY = {"seed": 7, "crop": 0.6, "flip": "horizontal", "rotate": 20, "brightness": 0.4, "contrast": 0.3}
ALONE: list[dict[str, Any]] = [
    {"crop": 0.1}, {"flip": "horizontal"}, {"flip": "vertical"}, {"rotate": 180}, {"brightness": 1}, {"contrast": 1},
    {"seed": 2**63 - 1, "flip": "vertical", "rotate": 0.5}, MANY,
]  # fmt: skip
PICTURES = [
    encoded(picture(*size, number), "PNG")
    for number, size in enumerate([(97, 61), (1, 1), (300, 2), (3, 5), (640, 480)])
]


def dataset_of(preprocess: Any, **fields: Any) -> Dataset:
    return Dataset.model_validate({"name": "d", "source": "s3://b/", "preprocess": preprocess, **fields})


def chain_of(preprocess: Any) -> Preprocessing:
    return declared.settled(dataset_of(preprocess).preprocess, SPEC)


@pytest.mark.parametrize("fields", ALONE, ids=str)
def test_copies_are_those_of_plain_pillow(fields: dict[str, Any]) -> None:
    chain = chain_of([{"augment": {"copies": 5, **fields}}, END])
    batch = isolation.decoder().run(PICTURES, Limits(), Chains(tuple(chain.of_copy(number) for number in range(6))))
    assert (batch.records["state"] == isolation.DONE).all()
    of_copies = Chains(tuple(chain.of_copy(number) for number in range(6))).split(batch.decoded_pixels())
    for number, pixels in enumerate(of_copies):
        for data, found in zip(PICTURES, pixels, strict=True):
            assert np.array_equal(found, copies.expected(data, fields, number)), number
    large = [pixels[4].tobytes() for pixels in of_copies]
    assert len(set(large)) >= (2 if set(fields) == {"flip"} else 6)


def test_copy_0_is_the_picture_of_the_chain_without_augment() -> None:
    chain = chain_of([{"augment": {"copies": 2, **MANY}}, END])
    assert chain.plain == SPEC.preprocessing
    for rule in (chain, SPEC.preprocessing):
        pixels = isolation.decoder().run(PICTURES, Limits(), rule).decoded_pixels().copy()
        assert [*map(bytes, pixels)] == [copies.expected(data, MANY, 0).tobytes() for data in PICTURES]


def test_a_grey_model_and_alpha_have_copies_too() -> None:
    steps = [{"alpha": {"matte": "white"}}, {"resize": {"size": [40, 40]}}, {"grayscale": {"channels": 1}}]
    grey = declared.without_model(dataset_of([*steps, {"augment": {"copies": 1, "contrast": 1}}]).preprocess, (1, 1, 3))
    assert grey.shape == (40, 40, 1)
    data = encoded(picture(50, 60, 4), "PNG")
    (found,) = isolation.decoder().run([data], Limits(), grey.of_copy(1)).decoded_pixels().copy()
    (plain,) = isolation.decoder().run([data], Limits(), grey).decoded_pixels()
    factor = 2 * copies.drawn(0, data, 1, "contrast")
    mean = int(plain.mean() + 0.5)
    assert np.abs(found.astype(float) - np.clip(mean + factor * (plain.astype(float) - mean), 0, 255)).max() <= 1
    assert not np.array_equal(found, plain)


def test_what_is_drawn_is_pinned_and_even() -> None:
    """If this fails, copies that were published are not made again."""
    data = b"a picture"
    image_id = hashlib.sha256(data).hexdigest()
    found = [augment.draw(0, image_id, number, "flip") for number in (1, 2, 3)]
    assert found == [copies.drawn(0, data, number, "flip") for number in (1, 2, 3)]
    assert [round(one, 6) for one in found] == [0.071592, 0.033297, 0.789592]
    many = [augment.draw(3, f"{at:064x}", 1, "rotate") for at in range(20_000)]
    counts, _ = np.histogram(many, 10, (0, 1))
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)
    made = chain_of([{"augment": {"copies": 1, **MANY}}, END]).of_copy(1)
    pixels = isolation.decoder().run(PICTURES[:1], Limits(), made).decoded_pixels()
    assert hashlib.sha256(pixels).hexdigest()[:16] == "77a4fb06e5a953d8"


def test_the_fingerprint_says_what_copies_differ_in_and_not_how_many_there_are() -> None:
    def fingerprint(*transforms: Any) -> str:
        return SPEC.fingerprint(chain_of([*transforms]))

    first = fingerprint({"augment": {"copies": 1, "crop": 0.6}}, END)
    assert first == fingerprint({"augment": {"copies": 16, "crop": 0.6}}, END)
    chain = chain_of([{"augment": {"copies": 3, "crop": 0.6}}, END])
    assert {SPEC.fingerprint(chain.of_copy(number)) for number in range(4)} == {first}
    others = [{"crop": 0.61}, {"crop": 0.6, "seed": 1}, *({"crop": 0.6, **one} for one in ALONE[1:6])]
    found = {fingerprint({"augment": {"copies": 1, **fields}}, END) for fields in others}
    assert len(found | {first, SPEC.fingerprint(SPEC.preprocessing)}) == len(others) + 2


REFUSED: dict[str, tuple[Any, str]] = {
    "no number": ([{"augment": {"flip": "vertical"}}, END], "preprocess.0.augment.copies: is required"),
    "none": ([{"augment": {"copies": 0, "crop": 0.5}}, END], "preprocess.0.augment.copies: must be at least 1"),
    "too many": ([{"augment": {"copies": 17, "crop": 0.5}}, END], "preprocess.0.augment.copies: must be at most 16"),
    "a truth value": ([{"augment": {"copies": True, "crop": 0.5}}, END], "copies: must not be true or false"),
    "a share that is true": ([{"augment": {"copies": 1, "crop": True}}, END], "crop: must not be true or false"),
    "half a copy": ([{"augment": {"copies": 1.5, "crop": 0.5}}, END], "preprocess.0.augment.copies: must be a whole"),
    "nothing": ([{"augment": {"copies": 3}}, END], "preprocess.0.augment: changes nothing; set one of crop, flip"),
    "all": ([{"augment": {"copies": 1, "crop": 1}}, END], "preprocess.0.augment.crop: must be below 1"),
    "too little": ([{"augment": {"copies": 1, "crop": 0.09}}, END], "preprocess.0.augment.crop: must be at least 0.1"),
    "no side": ([{"augment": {"copies": 1, "flip": "both"}}, END], "augment.flip: must be horizontal or vertical"),
    "round": ([{"augment": {"copies": 1, "rotate": 181}}, END], "preprocess.0.augment.rotate: must be at most 180"),
    "too bright": ([{"augment": {"copies": 1, "brightness": 1.1}}, END], "augment.brightness: must be at most 1"),
    "a seed": ([{"augment": {"copies": 1, "flip": "vertical", "seed": -1}}, END], "augment.seed: must be at least 0"),
    "number": ([{"augment": {"copies": 1, "flip": "vertical", "number": 1}}, END], "augment.number: unknown field"),
    "twice": ([{"augment": {"copies": 1, "rotate": 1}}] * 2 + [END], "preprocess: augment: is there once; set all"),
    "crop at the end": ([END, {"augment": {"copies": 1, "crop": 0.5}}], "preprocess: augment: crop leaves each copy a"),
    "crop before a crop": (
        [{"augment": {"copies": 1, "crop": 0.5}}, {"center_crop": {"size": [224, 224]}}],
        "preprocess: augment: crop leaves each copy a size of its own; put a resize after it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(what: str) -> None:
    preprocess, line = REFUSED[what]
    with pytest.raises(ValidationError) as refused:
        dataset_of(preprocess)
    found = one_line(refused.value, Dataset)
    assert line in found
    assert "\n" not in found


def test_bands_have_no_copies() -> None:
    with pytest.raises(ValidationError) as refused:
        dataset_of([{"augment": {"copies": 1, "rotate": 9}}, END], channels=4)
    assert "preprocess: augment: is for RGB, and channels takes the bands as they are" in one_line(
        refused.value, Dataset
    )
