"""The fields `model`, `models` and `engine` of a dataset file.

This module is imported whenever Airflow parses the DAG file: pydantic only, nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from imagefeatures import names
from imagefeatures.models import backbones
from imagefeatures.models.own.declared import FROM_CONFIG, OwnModel
from imagefeatures.models.serving.declared import OfServer, ServedEngine, ServedModel
from imagefeatures.preprocessing import declared as preprocessing

MOST_MODELS = 16


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
    """What is given for a dataset, its models completed and marked by what stands beside them.

    Where the engine is a server, and the model can be no other, it is the server's. Beside a preprocessor_config.json a
    model from a file needs no `normalize`; without one it is required, as if nothing stood there.
    """
    if not isinstance(given, dict):
        return given
    says = FROM_CONFIG if preprocessing.is_file(given.get("preprocess")) and given.get("scale") is None else None
    if isinstance(models := given.get("models"), list | tuple):
        given = given | {"models": [_with_scale(model, says) for model in models]}
    model = _with_scale(given.get("model"), says)
    if isinstance(model, dict) and "uri" not in model and isinstance(given.get("engine"), dict | ServedEngine):
        by_name = set(model) == {"name"} and model["name"] in [*backbones.BACKBONES]
        model = model if by_name else OfServer(model)
    return given | {"model": model} if "model" in given else given


def _with_scale(model: Any, says: str | None) -> Any:
    """A model from a file, whose `normalize` is what the preprocessing says where the user leaves it open."""
    is_open = isinstance(model, dict) and "uri" in model and model.get("normalize") in (None, FROM_CONFIG)
    return model | {"normalize": says} if is_open else model


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


def check_model(model: str | OwnModel | ServedModel) -> None:
    """Raise ValueError where there is no model of this name."""
    if isinstance(model, str) and model not in backbones.BACKBONES:
        raise ValueError(f"must be one of {', '.join(backbones.BACKBONES)}, or a mapping with name and uri")
    if name_of(model) == names.NO_MODEL:
        raise ValueError(f"{names.NO_MODEL} is what the tables say where there is no model; choose another name")


def check_models(dataset: str, models: Sequence[str | OwnModel | ServedModel]) -> None:
    """Check that there are all of a dataset's models, and that each can have a table. Raises ValueError."""
    if len(models) > MOST_MODELS:
        raise ValueError(f"must be {MOST_MODELS} models at most: a worker keeps each of them loaded")
    for model in models:
        check_model(model)
    given = [name_of(model) for model in models]
    if twice := sorted({name for name in given if given.count(name) > 1}):
        raise ValueError(f"{twice[0]} is there twice; give one of them another name, or remove it")
    for table in tables_of(dataset, models)[1:]:
        if names.is_pixels_table(table):
            raise ValueError(f"the table {table} would have the name of one with pixels; give the model another name")
        if not re.fullmatch(names.DATASET_NAME, table):
            raise ValueError(
                f"the name of the table {table} has {len(table)} characters, and at most 63 are allowed: "
                "give the dataset or the model a shorter name"
            )


def tables_of(dataset: str, models: Sequence[str | OwnModel | ServedModel]) -> tuple[str, ...]:
    """The table of each model: the dataset's own for the first, one with the model's name for the others."""
    return (dataset, *(names.model_table(dataset, name_of(model)) for model in models[1:]))
