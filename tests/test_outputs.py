"""The outputs of a run: which there are, what they say of themselves, and whether they are those of the dataset."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imagefeatures import outputs, storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures.layout import weights_record
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.outputs import Output
from imagefeatures.pixels import PixelFormat
from imagefeatures.preprocessing.declared import PreprocessorConfig
from imagefeatures.settings import Settings

SMALL, LARGE = "mobilenet_v2", "inception_v3"
"""Models that take pictures of 224 × 224 and of 299 × 299."""

COPIES = [{"resize": {"size": [224, 224]}}, {"augment": {"copies": 2, "flip": "horizontal"}}]
TWO_MODELS: dict[str, Any] = {"models": [SMALL, LARGE], "pixels": "keep"}
ONLY_PIXELS: dict[str, Any] = {"features": "none", "pixels": "keep"}


def dataset_of(**fields: Any) -> Dataset:
    return Dataset.model_validate({"name": "photos", "source": "s3://b/", **fields})


@pytest.fixture(autouse=True)
def _weights(settings: Settings) -> None:
    """The lake has the digest of the weights that are not the package's."""
    facts = json.dumps({"model": LARGE, "weights_sha256": "0" * 64}).encode()
    storage.write(weights_record(settings.lake, LARGE), facts)


def settled(settings: Settings, **fields: Any) -> tuple[Output, ...]:
    return outputs.settle(dataset_of(**fields), settings.lake, settings.cache)


def test_each_model_has_a_table_and_the_pixels_are_what_the_first_takes(settings: Settings) -> None:
    first, second, pixels = settled(settings, **TWO_MODELS)
    assert [one.table for one in (first, second, pixels)] == ["photos", "photos__inception_v3", "photos_pixels"]
    assert [first.spec.name, second.spec.name, pixels.model] == [SMALL, LARGE, None]
    assert pixels.preprocessing == first.preprocessing != second.preprocessing
    assert [one.kind for one in (first, second, pixels)] == [None, None, PixelFormat((224, 224, 3))]
    assert first.fingerprint == first.spec.fingerprint(first.preprocessing)
    assert pixels.fingerprint == pixels.preprocessing.fingerprint
    assert all(one.fingerprint == one.computed_fingerprint for one in (first, second, pixels))
    with pytest.raises(ValueError, match=r"^photos_pixels: has pixels, and no model$"):
        _ = pixels.spec
    assert [one.table for one in settled(settings, model=LARGE)] == ["photos"]


@pytest.mark.parametrize(
    ("model", "size"), [({}, 224), ({"model": LARGE}, 299), ({"preprocess": [{"resize": {"size": [30, 40]}}]}, 30)]
)
def test_pixels_alone_have_the_size_of_the_model_or_of_the_chain(
    settings: Settings, model: dict[str, Any], size: int
) -> None:
    (pixels,) = settled(settings, **ONLY_PIXELS, **model)
    assert (pixels.table, pixels.preprocessing.shape[0]) == ("photos_pixels", size)


def test_each_copy_is_an_output_and_copy_0_is_the_picture_without_augmentation(settings: Settings) -> None:
    *vectors, pixels, _, _ = settled(settings, pixels="keep", preprocess=COPIES)
    assert [(one.table, one.copy_number) for one in vectors] == [("photos", 0), ("photos", 1), ("photos", 2)]
    (plain, plain_pixels) = settled(settings, pixels="keep", preprocess=COPIES[:1])
    assert [one.copy_number for one in (plain, plain_pixels)] == [0, 0]
    fingerprint = vectors[0].fingerprint
    assert [one.known_fingerprints for one in vectors] == [
        (fingerprint, plain.fingerprint), (fingerprint,), (fingerprint,),
    ]  # fmt: skip
    assert pixels.known_fingerprints == (pixels.fingerprint, plain_pixels.fingerprint)
    assert plain.known_fingerprints == (plain.fingerprint,)
    assert fingerprint != plain.fingerprint


def test_shards_are_smaller_where_there_are_copies_and_never_empty(settings: Settings) -> None:
    copied, plain = settled(settings, preprocess=COPIES), settled(settings, **TWO_MODELS)
    assert [outputs.shard_images(plain, most) for most in (1, 600)] == [1, 600]
    assert [outputs.shard_images(copied, most) for most in (1, 3, 6, 600)] == [1, 1, 2, 200]


def test_a_chain_that_makes_another_input_is_refused(settings: Settings) -> None:
    with pytest.raises(ParamsError, match=r"^preprocess: makes 30 × 40 × 3 .* and mobilenet_v2 takes 224 × 224 × 3$"):
        settled(settings, preprocess=[{"resize": {"size": [30, 40]}}])
    unread = dataset_of().model_copy(update={"preprocess": PreprocessorConfig(preprocessor_config="s3://b/c.json")})
    with pytest.raises(ParamsError, match=r"^preprocess: preprocessor_config: is not replaced by its transforms$"):
        outputs.settled_preprocessing(unread, BACKBONES[SMALL])


SETTLED = [TWO_MODELS, ONLY_PIXELS, {"preprocess": COPIES, "pixels": "keep"}, {**ONLY_PIXELS, "preprocess": COPIES}]


@pytest.mark.parametrize("fields", SETTLED)
def test_what_was_settled_contradicts_nothing_and_is_current(settings: Settings, fields: dict[str, Any]) -> None:
    found = settled(settings, **fields)
    assert list(outputs.contradictions(found, dataset_of(**fields))) == []
    assert outputs.are_current(found, dataset_of(**fields))


def test_outputs_of_another_dataset_are_named(settings: Settings) -> None:
    dataset, found = dataset_of(**TWO_MODELS), settled(settings, **TWO_MODELS)

    def says(*others: Output) -> list[str]:
        return list(outputs.contradictions(others, dataset))

    first, second, pixels = found
    places = "outputs: are not those of the dataset's models and pixels, photos, photos__inception_v3, photos_pixels"
    chain = "preprocessing: is not what the dataset and its model declare"
    assert says(first, second) == says(second, first, pixels)[:1] == [places]
    assert says(first, second, pixels.model_copy(update={"preprocessing": second.preprocessing})) == [chain]
    assert says(first, second.model_copy(update={"preprocessing": first.preprocessing}), pixels) == [chain]
    assert says(first, second.model_copy(update={"model": None}), pixels) == [
        "outputs: photos__inception_v3 is a table of another kind"
    ]
    assert says(first, second, pixels.model_copy(update={"model": first.model})) == [
        "outputs: photos_pixels is a table of another kind"
    ]
    narrow = dataset_of(**ONLY_PIXELS, preprocess=[{"resize": {"size": [30, 40]}}]).preprocess
    texts = list(outputs.contradictions(found, dataset.model_copy(update={"preprocess": narrow})))
    assert [text[:32] for text in texts] == ["preprocess: makes 30 × 40 × 3 (h"] * 2


def test_copies_of_another_number_are_named(settings: Settings) -> None:
    fields = {"preprocess": COPIES}
    found = settled(settings, **fields)
    places = "outputs: are not those of the dataset's models and pixels, photos"
    assert list(outputs.contradictions(found[:2], dataset_of(**fields))) == [places]
    assert list(outputs.contradictions((found[0], found[2], found[1]), dataset_of(**fields))) == [places]


def test_outputs_that_this_version_computes_otherwise_are_not_current(settings: Settings) -> None:
    dataset, (first, second, pixels) = dataset_of(**TWO_MODELS), settled(settings, **TWO_MODELS)
    older = first.preprocessing.model_copy(update={"version": first.preprocessing.version - 1})
    computed = first.spec.fingerprint(older)
    for changed in (
        first.model_copy(update={"preprocessing": older, "fingerprint": computed}),
        first.model_copy(update={"fingerprint": "0" * 32}),
        first.model_copy(update={"model": second.model, "fingerprint": second.spec.fingerprint(first.preprocessing)}),
    ):
        assert not outputs.are_current((changed, second, pixels), dataset)


def test_outputs_with_one_input_are_a_group(settings: Settings) -> None:
    assert outputs.by_input(settled(settings, **TWO_MODELS)) == [[0, 2], [1]]
    assert outputs.by_input(settled(settings, preprocess=COPIES, pixels="keep")) == [[0, 3], [1, 4], [2, 5]]
