"""The fingerprint: what changes it, and that nothing else does."""

from __future__ import annotations

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
