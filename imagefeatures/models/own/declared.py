"""The fields of `model:` in a dataset file, where it is a mapping: a model from a file of the user's own.

This module is imported whenever Airflow parses the DAG file: pydantic only, nothing heavy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from imagefeatures import beside, names
from imagefeatures.models import backbones
from imagefeatures.models.spec import VALUE_SCALES, Format, Pooling, Scale, ValueScale
from imagefeatures.preprocessing.bands import MOST_BANDS, Channels
from imagefeatures.strict import StrictModel
from imagefeatures.wording import error_at

SUFFIXES: dict[str, Format] = {
    ".weights.h5": "weights.h5",
    ".h5": "h5",
    ".hdf5": "h5",
    ".keras": "keras",
    ".onnx": "onnx",
    ".tflite": "tflite",
    ".xml": "openvino",
    "/": "savedmodel",
}
"""The endings of a model's URI. A longer one comes before one that it ends in."""

OF_KERAS: tuple[Format, ...] = ("weights.h5", "h5", "keras")
"""The formats that Keras reads. OpenVINO reads the others."""

PICKLES = (".pth", ".pt", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".bin")

MOST_SIDE = 4096
"""The longest side of a model's input, in pixels: what a resize makes."""

SIDE = Annotated[int, Field(ge=16, le=MOST_SIDE)]
FROM_CONFIG = "preprocessor_config"
"""As `normalize`: what the file of `preprocess` says, which plan reads. The default where there is such a file."""

MOST = 1e30
"""What float32 holds, with some room."""

Number = Annotated[float, Field(allow_inf_nan=False)]


class Normalization(StrictModel):
    """How pixel values become what the model takes: (value × scale − mean) / std, in this order of channels.

    mean, std: one number for all channels, or one for each, in `order`.

    >>> Normalization(scale=1 / 255, mean=0.5, std=0.5).as_scale().mean
    (127.5,)
    """

    scale: Number = Field(1.0, gt=0, le=1000)
    mean: tuple[Number, ...] = Field((0.0,), min_length=1, max_length=MOST_BANDS)
    std: tuple[Annotated[Number, Field(gt=0)], ...] = Field((1.0,), min_length=1, max_length=MOST_BANDS)
    order: Literal["rgb", "bgr"] = "rgb"

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _one_number_is_for_all_channels(cls, given: Any) -> Any:
        return (given,) if isinstance(given, int | float) else given

    @model_validator(mode="after")
    def _float32_holds_the_numbers(self) -> Self:
        if not all(abs(one) <= MOST * self.scale for one in self.mean):
            raise ValueError(f"mean / scale must be at most {MOST:g}")
        if not all(self.scale / MOST <= one <= MOST * self.scale for one in self.std):
            raise ValueError(f"std / scale must be {1 / MOST:g} to {MOST:g}")
        return self

    def as_scale(self) -> ValueScale:
        """The same as (value - mean) / std."""
        # Nine digits are more than float32 has, and 1 / 255 however it is written becomes 255.
        mean, std = (tuple(float(f"{one / self.scale:.9g}") for one in given) for given in (self.mean, self.std))
        return ValueScale(mean=mean, std=std, order=self.order)


def _form_of_scale(given: Any) -> str:
    if isinstance(given, dict | Normalization):
        return "(numbers)"
    return "(number)" if isinstance(given, int | float) else "(mode)"


def _is_in_a_form_of_scale(given: Any) -> Any:
    if not isinstance(given, int | float | dict | Normalization) and given not in (None, "none"):
        raise ValueError("must be none, a number, or a mapping of scale, mean and std")
    return given


ScaleField = Annotated[
    Annotated[Literal["none"] | None, Tag("(mode)")]
    | Annotated[Annotated[float, Field(ge=0.001, le=MOST)], Tag("(number)")]
    | Annotated[Normalization, Tag("(numbers)")],
    Discriminator(_form_of_scale),
    BeforeValidator(_is_in_a_form_of_scale),
]
"""The field `scale` of a dataset file: the short form of a model's `normalize`."""


class OwnModel(StrictModel):
    """A model from a file: its name in the tables, where the file is, and what the file does not say."""

    name: str = Field(pattern=names.DATASET_NAME, description="Name of the model in the tables")
    uri: str = Field(min_length=1, description="The file, s3://… or file:///… or relative to this file")
    sha256: str | None = Field(None, description="Digest of the file's bytes; another file is refused")
    architecture: str | None = Field(None, description="The backbone whose weights the file holds")
    cut: str | None = Field(None, min_length=1, max_length=500, description="The layer or node that gives the vector")
    pooling: Pooling | None = Field(None, description="What makes a vector of the cut's output")
    normalize: Annotated[
        Annotated[Literal["tf", "torch", "caffe", "none"] | None, Tag("(mode)")]
        | Annotated[Literal["preprocessor_config"], Tag("(file)")]
        | Annotated[Normalization, Tag("(numbers)")],
        Discriminator(lambda given: _kind_of_normalize(given)),
    ] = Field(None, description="How pixel values are scaled for the model")
    size: tuple[SIDE, SIDE] | None = Field(None, description="Height and width, where the file leaves them open")
    layout: Literal["nhwc", "nchw"] | None = Field(None, description="The order of the input's axes")

    @field_validator("uri")
    @classmethod
    def _uri_is_of_a_known_format(cls, uri: str) -> str:
        beside.check(uri)
        if uri.lower().endswith(PICKLES):
            raise ValueError("is a file that may run code when it is read, or holds arrays alone; export it as ONNX")
        if format_of(uri) is None:
            raise ValueError(f"must end in {', '.join(SUFFIXES)} (a SavedModel is a folder)")
        return uri

    @field_validator("sha256")
    @classmethod
    def _sha256_is_one(cls, sha256: str | None) -> str | None:
        if sha256 is not None and (len(sha256) != 64 or set(sha256) - set("0123456789abcdef")):
            raise ValueError("must be 64 hexadecimal digits in lower case, as sha256sum prints them")
        return sha256

    @field_validator("architecture")
    @classmethod
    def _architecture_is_known(cls, architecture: str | None) -> str | None:
        if architecture is not None and architecture not in backbones.BACKBONES:
            raise ValueError(f"must be one of {', '.join(backbones.BACKBONES)}")
        return architecture

    @model_validator(mode="before")
    @classmethod
    def _a_backbones_name_says_its_architecture(cls, given: Any) -> Any:
        """Weights of a model by name that lie elsewhere: `{name: resnet50, uri: s3://…/resnet50.h5}`."""
        if not isinstance(given, dict) or "architecture" in given or given.get("name") not in backbones.BACKBONES:
            return given
        of_arrays = format_of(str(given.get("uri", ""))) in ("weights.h5", "h5")
        return given | {"architecture": given["name"]} if of_arrays else given

    @model_validator(mode="after")
    def _the_fields_fit_the_format(self) -> Self:
        if self.architecture and self.format not in ("weights.h5", "h5"):
            raise ValueError(f"architecture: a file of format {self.format} says itself what it is; leave it out")
        if self.format == "weights.h5" and not self.architecture:
            raise ValueError(
                "architecture: is required, as a .weights.h5 holds arrays alone; "
                f"one of {', '.join(backbones.BACKBONES)}"
            )
        if self.name in backbones.BACKBONES and self.architecture != self.name:
            raise ValueError(
                f"name: {self.name} is a model of the service's own, and the file none; choose another name"
            )
        if self.normalize is None and not self.architecture:
            raise ValueError(
                "normalize: is required, as no file says how its model was trained: tf, torch, caffe, "
                "none (the model scales by itself) or {scale, mean, std, order}"
            )
        if self.layout and self.format not in ("onnx", "openvino"):
            raise ValueError(f"layout: the input of a file of format {self.format} is nhwc; leave it out")
        return self

    @property
    def format(self) -> Format:
        """By the ending of the URI."""
        found = format_of(self.uri)
        assert found  # noqa: S101 - the validator of uri
        return found

    @property
    def scale(self) -> Scale:
        """As of a ModelSpec: of an architecture its own, unless `normalize` says another."""
        if isinstance(self.normalize, Normalization):
            return self.normalize.as_scale()
        if self.normalize is None or self.normalize == "preprocessor_config":  # the latter is settled by plan
            return backbones.BACKBONES[self.architecture].scale if self.architecture else "none"
        return self.normalize

    @property
    def value_scale(self) -> ValueScale:
        """The scale as numbers."""
        return self.scale if isinstance(self.scale, ValueScale) else VALUE_SCALES[self.scale]

    def beside(self, folder: Path) -> Self:
        """The model with an absolute URI. folder: of the dataset file."""
        return self.model_copy(update={"uri": beside.absolute(self.uri, folder)})

    def engines(self) -> tuple[str, ...]:
        """The names of the engines that can run it."""
        return ("openvino", "tensorflow") if self.format in OF_KERAS else ("openvino",)


def _kind_of_normalize(given: Any) -> str:
    if given == FROM_CONFIG:
        return "(file)"
    return "(numbers)" if isinstance(given, dict | Normalization) else "(mode)"


def scaled(model: Any, scale: Literal["none"] | float | Normalization | None) -> Any:
    """What a dataset file has as `model`, with its `scale` as the model's own `normalize`. A number divides the values.

    Raises ValueError where both are there.
    """
    if scale is None or not isinstance(model, dict):
        return model
    if model.get("normalize") is not None:
        raise ValueError("normalize: scale is set too; remove one of them")
    return model | {"normalize": {"scale": 1 / scale} if isinstance(scale, float) else scale}


def check_values(model: Any, channels: Channels | None, scale: object, place: tuple[str, ...] = ("model",)) -> None:
    """Check that a model can take the values of the pictures.

    model: a name, or the fields of a model that has `normalize`. channels, scale: as in the dataset file. place: of the
    model in it.

    Raises ValidationError with the field.
    """
    if isinstance(model, str):
        if scale is not None:
            raise error_at(("scale",), f"is for a model from a file, and {model} has its own; remove it", scale)
        if channels and channels.dtype != "uint8":
            words = f"are of {channels.dtype}, and {model} takes values of 0 to 255"
            raise error_at(("channels",), words, str(channels))
    elif isinstance(model.normalize, Normalization):
        words = f"one for each of {channels.count} bands" if channels else "three"
        for name, given in (("mean", model.normalize.mean), ("std", model.normalize.std)):
            if len(given) not in (1, channels.count if channels else 3):
                raise error_at((*place, "normalize", name), f"must be one number, or {words}", given)


def format_of(uri: str) -> Format | None:
    """The format of a file, by the ending of its URI; None when it is none of ours.

    >>> format_of("s3://b/birds.weights.h5"), format_of("birds/"), format_of("birds.pth")
    ('weights.h5', 'savedmodel', None)
    """
    return next((name for suffix, name in SUFFIXES.items() if uri.lower().endswith(suffix)), None)
