"""The models: what defines each one's numbers, and the fingerprint that stands beside every vector.

weights    find the file, read its arrays, check their digest
reference  the model in Keras: the numbers that every engine must reproduce
engines    pixels to vectors, fast: OpenVINO (default) and TensorFlow
gpus       which GPU a process computes on, and how many images at once
prepare    the model step: build, prove, and keep the engine-ready files in the lake
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

PREPROCESSING = {
    # Raise the version when imagefeatures/images.py would make other pixels of the same bytes:
    # tests/test_images.py holds digests of its output, so that this cannot be forgotten.
    "version": 1,
    "orientation": "exif",
    "color": "rgb",
    "size": [224, 224],
    "resample": "bicubic",
    "scale": "x / 127.5 - 1",
}


@dataclass(frozen=True)
class Model:
    """What defines a model's numbers.

    width: length of a vector. weights_sha256: SHA-256 of all arrays in layer order, as little-endian float32.
    """

    name: str
    width: int
    cut: str
    weights_sha256: str

    @property
    def fingerprint(self) -> str:
        """Digest of preprocessing, architecture, cut and weights: 32 hexadecimal digits.

        Engines are not part of it: they may change, the numbers may not.
        """
        facts = {"preprocessing": PREPROCESSING, "model": self.name, "cut": self.cut, "weights": self.weights_sha256}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


MODELS = {
    model.name: model
    for model in (
        Model(
            name="mobilenet_v2",
            width=1280,
            cut="global average pooling",
            weights_sha256="c009b1f1262c1f55420ed4f95d0f338acb97548930c6f6c8f3383b79544088a8",
        ),
    )
}
