"""What defines a model's numbers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from imagefeatures.preprocessing import Preprocessing
from imagefeatures.strict import FrozenModel


@dataclass(frozen=True)
class ValueScale:
    """How pixel values are scaled for a model: (x - mean) / std, from uint8 to float32. formula: the same as text."""

    formula: str
    mean: float
    std: float


VALUE_SCALES = {"tf": ValueScale("x / 127.5 - 1", mean=127.5, std=127.5)}
"""By the names of Keras' preprocess_input modes."""


class ModelSpec(FrozenModel):
    """What defines a model's numbers. plan writes it to run.json; all steps read it from there.

    architecture: the class of keras.applications. input_shape: height, width, channels. cut: where the vector is
    taken. width: length of a vector. weights: name of the Keras file. weights_sha256: SHA-256 of all arrays in layer
    order, as little-endian float32. last_layer: of the backbone; what follows in the file is a classifier.
    """

    name: str
    architecture: str
    input_shape: tuple[int, int, int]
    scale: Literal["tf"]
    cut: str
    width: int
    weights: str
    weights_sha256: str
    last_layer: str

    @property
    def value_scale(self) -> ValueScale:
        return VALUE_SCALES[self.scale]

    def fingerprint(self, preprocessing: Preprocessing) -> str:
        """Digest of preprocessing, architecture, cut and weights: 32 hexadecimal digits.

        Engines are not part of it: they may change, the numbers may not.
        """
        facts: dict[str, Any] = {
            "preprocessing": preprocessing.facts | {"scale": self.value_scale.formula},
            "model": self.name,
            "cut": self.cut,
            "weights": self.weights_sha256,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing that makes this model's input."""
        height, width, _ = self.input_shape
        return Preprocessing.standard(height, width)
