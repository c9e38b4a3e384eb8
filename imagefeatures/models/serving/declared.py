"""The fields of `engine:` in a dataset file, where it is a mapping: a model that a server computes.

This module is imported whenever Airflow parses the DAG file: pydantic only, nothing heavy.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from imagefeatures import names
from imagefeatures.models import backbones
from imagefeatures.models.own.declared import SIDE, Normalization
from imagefeatures.models.spec import VALUE_SCALES, Scale, ValueScale
from imagefeatures.strict import StrictModel

Name = Annotated[str, Field(min_length=1, max_length=200)]


class ServedEngine(StrictModel):
    """A model server, and how its model is asked. All fields but the first four have a default.

    >>> ServedEngine(serving="http://models:8080/", protocol="kserve", model="birds").address
    'http://models:8080'
    """

    serving: str = Field(description="URL of the server, up to /v1 or /v2")
    protocol: Literal["kserve", "tensorflow"] = Field(description="Open Inference Protocol, or TF Serving's predict")
    model: Name = Field(description="Name of the model on the server")
    version: Name | None = Field(None, description="Version that is asked for; null: the one that the server chooses")
    signature: Name | None = Field(None, description="Signature of a TensorFlow model; null: the server's default")
    input: Name | None = Field(None, description="Input that takes the pictures; null: the model's only one")
    cut: Name | None = Field(None, description="Output that is the vector; null: the model's only one")
    send: Literal["pixels", "png"] = Field("pixels", description="Decoded pixels, or a lossless PNG of them")
    datatype: Literal["uint8", "float32"] | None = Field(None, description="Of pixels; null: as the server says")
    batch: int = Field(16, ge=1, le=512, description="Pictures in one request")
    in_flight: int = Field(2, ge=1, le=32, description="Requests under way at a time, of each worker")
    deadline: float = Field(60.0, ge=1, le=3600, description="Seconds for one request, with all that it is repeated")

    @field_validator("serving")
    @classmethod
    def _serving_is_a_plain_url(cls, serving: str) -> str:
        try:
            url = urlsplit(serving)
            host, _ = url.hostname, url.port  # the latter raises for what is no port
        except ValueError:
            host = None
        if not host or url.scheme not in ("http", "https") or re.search(r"[\s\x00-\x1f\x7f]", serving):
            raise ValueError("must be a URL such as http://models.internal:8080")
        if "@" in url.netloc or url.query or url.fragment or "?" in serving or "#" in serving:
            raise ValueError(
                "must have no user, no password, no ? and no #: a token comes from IMAGEFEATURES_SERVING_TOKEN"
            )
        if re.search(r"/v[12](/|$)", url.path):
            raise ValueError("must end before /v1 or /v2: the rest follows from protocol and model")
        return serving

    @model_validator(mode="after")
    def _the_fields_fit_the_protocol(self) -> Self:
        if self.protocol == "kserve" and self.signature:
            raise ValueError("signature: is of TensorFlow Serving; the Open Inference Protocol has none")
        if self.send == "png" and self.datatype:
            raise ValueError("datatype: is of pixels; of PNGs the server makes its own input")
        return self

    @property
    def address(self) -> str:
        """The URL without a slash at its end."""
        return self.serving.rstrip("/")

    def __str__(self) -> str:
        """As messages name it."""
        return f"{self.address}, model {self.model}"


class ServedModel(StrictModel):
    """The field `model` where only a server has the model: its name in the tables, and what no server says."""

    name: str = Field(pattern=names.DATASET_NAME, description="Name of the model in the tables")
    size: tuple[SIDE, SIDE] | None = Field(None, description="Height and width, where the server leaves them open")
    normalize: Annotated[
        Annotated[Literal["tf", "torch", "caffe", "none"] | None, Tag("(mode)")]
        | Annotated[Normalization, Tag("(numbers)")],
        Discriminator(lambda given: "(numbers)" if isinstance(given, dict | Normalization) else "(mode)"),
    ] = Field(None, description="How pixel values are scaled before they are sent as float32")

    @field_validator("name")
    @classmethod
    def _name_is_no_backbones(cls, name: str) -> str:
        if name in backbones.BACKBONES:
            raise ValueError(
                f"{name} is a model of the service's own; write `model: {name}` if the server has it with the same "
                "weights, and choose another name if not"
            )
        return name

    @property
    def scale(self) -> Scale:
        """As of a ModelSpec."""
        given = self.normalize.as_scale() if isinstance(self.normalize, Normalization) else self.normalize
        return given or "none"

    @property
    def value_scale(self) -> ValueScale:
        return self.scale if isinstance(self.scale, ValueScale) else VALUE_SCALES[self.scale]


class OfServer(dict[str, object]):
    """The content of `model:` in a dataset file whose model only a server has: tells it from that of a file."""
