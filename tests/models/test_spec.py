"""The fingerprint: what changes it, and that nothing else does."""

from __future__ import annotations

from imagefeatures.models import reference
from imagefeatures.models.backbones import BACKBONES, DEFAULT
from imagefeatures.preprocessing import Preprocessing
from support.shared import PREPROCESSING, SPEC


def test_the_fingerprint_changes_with_everything_that_changes_the_numbers() -> None:
    changes = {"name": "other", "cut": "other", "weights_sha256": "0" * 64}
    changed = [SPEC.model_copy(update={key: value}).fingerprint(PREPROCESSING) for key, value in changes.items()]
    changed.append(SPEC.fingerprint(PREPROCESSING.model_copy(update={"version": PREPROCESSING.version + 1})))
    changed.append(SPEC.fingerprint(Preprocessing.standard(224, 192)))
    assert len({SPEC.fingerprint(PREPROCESSING), *changed}) == 6


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
