"""The fingerprint: what changes it, and that nothing else does."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from imagefeatures.models import reference
from imagefeatures.models.backbones import BACKBONES, DEFAULT
from imagefeatures.models.spec import VALUE_SCALES, ModelSpec, ValueScale
from imagefeatures.preprocessing import Preprocessing
from support.shared import PREPROCESSING, SPEC


def test_the_fingerprint_changes_with_everything_that_changes_the_numbers() -> None:
    changes = {
        "name": "other",
        "cut": "other",
        "weights_sha256": "0" * 64,
        "pooling": "max",
        "scale": "caffe",
    }
    changed = [SPEC.model_copy(update={key: value}).fingerprint(PREPROCESSING) for key, value in changes.items()]
    changed.append(SPEC.fingerprint(PREPROCESSING.model_copy(update={"version": PREPROCESSING.version + 1})))
    changed.append(SPEC.fingerprint(Preprocessing.standard(224, 192)))
    assert len({SPEC.fingerprint(PREPROCESSING), *changed}) == 8


def test_the_fingerprint_is_the_same_on_every_machine() -> None:
    """If this fails, the fingerprint has changed: new vectors are not comparable with those of older runs."""
    assert SPEC.fingerprint(PREPROCESSING) == "63e4fab4295764c4c5a908f0aaaec921"


def test_the_default_model_takes_square_pictures_and_gives_1280_numbers() -> None:
    spec = BACKBONES[DEFAULT]
    assert (spec.name, spec.input_shape, spec.width) == ("mobilenet_v2", (224, 224, 3), 1280)
    golden = reference.kept_golden_vectors(spec)
    assert golden is not None
    assert golden.shape == (4, spec.width)


def test_the_preprocessing_of_a_model_makes_pictures_of_its_height_and_width() -> None:
    wide = SPEC.model_copy(update={"input_shape": (100, 200, 3)})
    assert wide.preprocessing == Preprocessing.standard(100, 200)
    assert wide.preprocessing != Preprocessing.standard(200, 100)


OWN = SPEC.model_copy(update={"format": "onnx", "sha256": "1" * 64, "architecture": "", "weights_sha256": None})


def test_the_fingerprint_of_a_users_file_says_all_that_changes_its_numbers() -> None:
    changes = {
        "format": "keras",
        "sha256": "2" * 64,
        "architecture": "ResNet50",
        "layout": "nchw",
        "input_shape": (224, 224, 4),
        "cut": "add_7",
        "pooling": "none",
        "scale": "torch",
    }
    prints = [OWN.model_copy(update={key: value}).fingerprint(PREPROCESSING) for key, value in changes.items()]
    assert len({SPEC.fingerprint(PREPROCESSING), OWN.fingerprint(PREPROCESSING), *prints}) == len(changes) + 2
    moved = OWN.model_copy(update={"uri": "s3://elsewhere/model.onnx"})
    assert moved.fingerprint(PREPROCESSING) == OWN.fingerprint(PREPROCESSING)


@pytest.mark.parametrize("spec", [SPEC, OWN])
def test_without_the_digest_of_the_weights_there_is_no_fingerprint(spec: ModelSpec) -> None:
    unknown = spec.model_copy(update={"weights_sha256": None, "sha256": None})
    with pytest.raises(ValueError, match=r"^the digest of the weights of mobilenet_v2 is not known yet$"):
        unknown.fingerprint(PREPROCESSING)


def test_numbers_are_the_same_scale_as_the_name_of_a_mode() -> None:
    as_numbers = SPEC.model_copy(update={"scale": ValueScale(mean=(127.5,), std=(127.5,))})
    assert as_numbers.fingerprint(PREPROCESSING) == SPEC.fingerprint(PREPROCESSING)
    assert VALUE_SCALES["caffe"].formula == "(bgr - [103.939, 116.779, 123.68]) / [1.0]"


@pytest.mark.parametrize(
    ("scale", "says"),
    [
        ({"mean": [1, 2], "std": [1]}, "mean and std need one number, or one for each of the 3 channels"),
        ({"mean": [1], "std": [1, 2, 3, 4]}, "mean and std need one number, or one for each of the 3 channels"),
        ({"mean": [0], "std": [0]}, "greater than 0"),
        ({"mean": [float("nan")], "std": [1]}, "finite number"),
        ({"mean": [], "std": [1]}, "at least 1 item"),
    ],
)
def test_a_scale_that_no_model_can_have_is_refused(scale: dict, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ModelSpec.model_validate(SPEC.model_dump() | {"scale": scale})


def test_only_three_channels_have_another_order() -> None:
    grey = SPEC.model_dump() | {"input_shape": (8, 8, 1)}
    with pytest.raises(ValidationError, match="bgr is an order of 3 channels, and the model's input has 1"):
        ModelSpec.model_validate(grey | {"scale": {"mean": [0], "std": [1], "order": "bgr"}})
    assert ModelSpec.model_validate(grey | {"scale": "tf"}).value_scale == VALUE_SCALES["tf"]
