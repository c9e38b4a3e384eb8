"""The fields `model`, `models` and `engine` of a dataset file.

This module is imported whenever Airflow parses the DAG file: pydantic only, nothing heavy.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from imagefeatures.models import backbones
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.models.serving.declared import OfServer, ServedEngine, ServedModel


def _form(model: object) -> str:
    if isinstance(model, OfServer | ServedModel):
        return "(server)"
    return "(file)" if isinstance(model, dict | OwnModel) else "(name)"


AnyModel = Annotated[
    Annotated[str, Tag("(name)")] | Annotated[OwnModel, Tag("(file)")] | Annotated[ServedModel, Tag("(server)")],
    Discriminator(_form),
]
"""A model by its name, the fields of one from a user's file, or those of one that only a server has."""

AnyEngine = Annotated[
    Annotated[Literal["openvino", "tensorflow"], Tag("(name)")] | Annotated[ServedEngine, Tag("(mapping)")],
    Discriminator(lambda engine: "(mapping)" if isinstance(engine, dict | ServedEngine) else "(name)"),
]
"""What computes the model: a library by its name, or the fields of a model server."""


def short_form(model: Any) -> Any:
    """A mapping that has a name alone as this name."""
    short = isinstance(model, dict) and not isinstance(model, OfServer) and set(model) == {"name"}
    return model["name"] if short else model


def with_form(given: Any) -> Any:
    """What is given for a dataset, its `model` marked as a server's where the engine is one and it can be no other."""
    if isinstance(given, dict) and isinstance(given.get("engine"), dict | ServedEngine):
        model = given.get("model")
        by_name = isinstance(model, dict) and set(model) == {"name"} and model["name"] in [*backbones.BACKBONES]
        if isinstance(model, dict) and "uri" not in model and not by_name:
            return given | {"model": OfServer(model)}
    return given


def name_of(model: str | OwnModel | ServedModel) -> str:
    """The name of a model in the tables."""
    return model if isinstance(model, str) else model.name


def check_engine(engine: str | ServedEngine, models: list[Any]) -> None:
    """Raise ValueError where the engine cannot run the models. models: those that are well formed."""
    if isinstance(engine, ServedEngine) and len(models) > 1:
        raise ValueError("is one model of a server; write model in place of models")
    for model in models:
        if isinstance(model, OwnModel) and isinstance(engine, str) and engine not in model.engines():
            raise ValueError(f"runs no model of format {model.format}; leave it out, or say {model.engines()[0]}")
