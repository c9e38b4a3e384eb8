"""What defines a model's numbers."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from imagefeatures.preprocessing import Preprocessing
from imagefeatures.preprocessing.bands import DType
from imagefeatures.strict import FrozenModel

Format = Literal[
    "keras-applications", "weights.h5", "h5", "keras", "savedmodel", "onnx", "tflite", "openvino", "served"
]
"""keras-applications: the arrays of a Keras file, in the architecture that the spec names. served: no file of it is
here. The others: own models."""

Pooling = Literal["avg", "max", "flatten", "none"]

WHOLE = "global average pooling"
"""The cut of a backbone that is taken whole, up to the end that Keras gives it with the spec's pooling."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


class ValueScale(FrozenModel):
    """How pixel values are scaled for a model: (x - mean) / std, from their own type to float32.

    mean, std: one number for all channels, or one for each, in the order in which the model takes the channels. order:
    bgr means that red and blue are exchanged first.
    """

    mean: tuple[Finite, ...] = Field(min_length=1)
    std: tuple[Annotated[Finite, Field(gt=0)], ...] = Field(min_length=1)
    order: Literal["rgb", "bgr"] = "rgb"

    def is_close(self, other: ValueScale) -> bool:
        """Whether both scale every value alike, but for what float32 cannot tell."""
        for mine, theirs in ((self.mean, other.mean), (self.std, other.std)):
            count = max(len(mine), len(theirs))
            both = (one * count if len(one) == 1 else one for one in (mine, theirs))  # one number is for all channels
            if not all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6) for a, b in zip(*both, strict=False)):
                return False
        return self.order == other.order and len({len(self.mean), len(other.mean)} - {1}) <= 1

    @property
    def formula(self) -> str:
        """The scale as a text: part of the fingerprint."""
        if self == VALUE_SCALES["tf"]:
            return "x / 127.5 - 1"
        return f"({self.order} - {list(self.mean)}) / {list(self.std)}"


VALUE_SCALES = {
    "tf": ValueScale(mean=(127.5,), std=(127.5,)),
    "torch": ValueScale(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
    "caffe": ValueScale(mean=(103.939, 116.779, 123.68), std=(1.0,), order="bgr"),
    "none": ValueScale(mean=(0.0,), std=(1.0,)),
}
"""By the names of Keras' preprocess_input modes; none: the model scales the values itself."""


Scale = Literal["tf", "torch", "caffe", "none"] | ValueScale


class Served(FrozenModel):
    """The model of a server, as plan has found it. All that a run must find again until it is published.

    version: as the server calls it; empty where it does not say. input, output: their names; empty where the server
    needs none. datatype, layout: of the pixels that are sent; string for PNGs, whose tensor has `axes` axes. golden:
    SHA-256 of the recorded vectors of the golden pictures.
    """

    model: str
    version: str
    signature: str = ""
    input: str = ""
    output: str = ""
    datatype: Literal["uint8", "float32", "string"]
    layout: Literal["nhwc", "nchw"] = "nhwc"
    axes: Literal[1, 2] = 1
    golden: str = ""

    @property
    def facts(self) -> dict[str, str]:
        """What of it is part of the fingerprint. Not how pictures are sent: the golden vectors say what comes of it."""
        return {name: getattr(self, name) for name in ("model", "version", "signature", "output", "golden")}


class ModelSpec(FrozenModel):
    """What defines a model's numbers. plan writes it to run.json; all steps read it from there.

    architecture: the class of keras.applications; empty when the file itself says what the model is. input_shape:
    height, width, channels of the pixels. input_type: of their values. scale: a mode of Keras' preprocess_input, or the
    numbers. cut: the layer or node whose output is taken; WHOLE for a backbone up to its end. pooling: what makes a
    vector of the cut's output;
    none: the output is one already. width: length of a vector. weights: name of the Keras file. weights_hash: digest of
    the official file, as Keras has it. weights_sha256: SHA-256 of all arrays in layer order, as little-endian float32;
    None until it is known. last_layer: of the backbone; what follows in the file is a classifier.
    Of a file that a user names: uri, sha256 of the file's bytes, and layout, the order of the axes of its input.
    served: the model of the server that computes it; its golden vectors stand in for a file that is not here.
    """

    name: str
    architecture: str = ""
    input_shape: tuple[int, int, int]
    scale: Scale
    cut: str = WHOLE
    pooling: Pooling = "avg"
    width: int
    weights: str = ""
    weights_hash: str | None = None
    weights_sha256: str | None = None
    last_layer: str = ""
    format: Format = "keras-applications"
    uri: str | None = None
    sha256: str | None = None
    layout: Literal["nhwc", "nchw"] = "nhwc"
    served: Served | None = None
    input_type: DType = "uint8"

    @model_validator(mode="after")
    def _the_scale_fits_the_channels(self) -> Self:
        scale, channels = self.value_scale, self.input_shape[2]
        if not {len(scale.mean), len(scale.std)} <= {1, channels}:
            raise ValueError(f"scale: mean and std need one number, or one for each of the {channels} channels")
        if scale.order == "bgr" and channels != 3:
            raise ValueError(f"scale: bgr is an order of 3 channels, and the model's input has {channels}")
        return self

    @property
    def is_own(self) -> bool:
        """Whether its numbers are not those of a model of the package: it is of a user's file, or of a server."""
        return self.format != "keras-applications"

    @property
    def value_scale(self) -> ValueScale:
        return self.scale if isinstance(self.scale, ValueScale) else VALUE_SCALES[self.scale]

    def fingerprint(self, preprocessing: Preprocessing) -> str:
        """Digest of preprocessing, scale, model, cut, pooling and weights: 32 hexadecimal digits.

        Engines are not part of it: they may change, the numbers may not. Nor is the place of a file: its digest is. Of
        a server the model's version and its golden vectors are.
        Raises ValueError when neither the digest of the arrays nor that of a user's file is known.
        """
        if (self.weights_sha256 if self.format == "keras-applications" else self.sha256) is None:
            raise ValueError(f"the digest of the weights of {self.name} is not known yet")
        facts: dict[str, Any] = {
            "preprocessing": preprocessing.facts | {"scale": self.value_scale.formula},
            "model": self.name,
            "cut": self.cut,
            "weights": self.weights_sha256,
        }
        # A fact that came later is written only where it is not what all models had before: fingerprints stay.
        if self.pooling != "avg":
            facts["pooling"] = self.pooling
        if self.format != "keras-applications":
            own = ("format", "sha256", "architecture", "layout", "input_shape")
            facts["file"] = {name: getattr(self, name) for name in own}
        if self.served:
            facts["served"] = self.served.facts
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing that makes this model's input."""
        height, width, _ = self.input_shape
        return Preprocessing.standard(height, width)
