"""Every model by name: the engine against Keras' own functions, on photos and on the golden pictures."""

from __future__ import annotations

import pytest

from benchmarks.models import HEAD, line, measured
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.reference import LEAST_COSINE, MOST_ABSOLUTE_DIFFERENCE


@pytest.mark.parametrize("name", BACKBONES)
def test_the_engines_give_the_vectors_that_keras_gives(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(name)
    with capsys.disabled():
        print("\n" + "\n".join(HEAD * (name == next(iter(BACKBONES)))) + line(name, found))
    assert found["difference"] <= MOST_ABSOLUTE_DIFFERENCE
    assert found["tensorflow_difference"] <= MOST_ABSOLUTE_DIFFERENCE
    assert found["cosine"] >= LEAST_COSINE
    # Vectors that are 0, or alike for all images, would prove nothing.
    assert found["spread"] > 0.05
    assert 0.1 < found["largest"] < 1000
