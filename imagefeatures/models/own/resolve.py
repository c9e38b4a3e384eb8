"""What the steps need to know of a model: its spec. Of a user's file it is found once and kept in the lake.

To know how long a vector is takes a look at the file, and with Keras some ten seconds. So the answer is kept under the
digest of the question: the file, what the dataset file says of it, and the versions of the libraries that have read it.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.layout import described_model
from imagefeatures.models.backbones import BACKBONES, planned_as
from imagefeatures.models.own import files, process
from imagefeatures.models.own.declared import OF_KERAS, OwnModel
from imagefeatures.models.own.describe import Facts
from imagefeatures.models.pinning import pinned
from imagefeatures.models.serving.declared import ServedEngine, ServedModel
from imagefeatures.models.spec import ModelSpec
from imagefeatures.preprocessing.bands import Channels

VERSION = 4
"""Raise it when the same file and fields give another spec than before, or are refused that were not."""


def resolve(
    model: str | OwnModel | ServedModel,
    lake: str,
    cache: Path,
    engine: str | ServedEngine = "openvino",
    channels: Channels | None = None,
) -> ModelSpec:
    """The spec of what a dataset file has as `model`. engine: of the dataset file; of a served model it is asked.
    channels: of its pictures, where they are not RGB.

    Of a file whose digest the dataset file says, and of which the lake has the facts, nothing is read. Raises
    ModelMismatch when a user's file is not there, is another one than its digest says, or cannot be used; StoreRefused
    or StoreError; ServingRefused or ServingError.
    """
    if isinstance(engine, ServedEngine):
        from imagefeatures.models.serving import settle  # loads urllib3

        return settle.settle(engine, model if isinstance(model, ServedModel) else resolve(model, lake, cache), lake)
    if isinstance(model, ServedModel):
        raise ModelMismatch(f"model.uri: is required, as no server computes {model.name}")
    if isinstance(model, str):
        return pinned(BACKBONES[model], lake, cache)
    if model.sha256 and (facts := _kept(_place(model, model.sha256, lake, channels))):
        return spec_of(model, model.sha256, facts)
    read = files.read(model.uri, model.format, model.sha256)
    place = _place(model, read.sha256, lake, channels)
    if not (facts := _kept(place)):
        facts = process.settle(model, read, channels)
        storage.write(place, facts.model_dump_json().encode())
    return spec_of(model, read.sha256, facts)


def spec_of(model: OwnModel, sha256: str, facts: Facts) -> ModelSpec:
    """The spec of a user's file with these facts. sha256: of the file."""
    backbone = BACKBONES[model.architecture] if model.architecture else None
    return ModelSpec(
        name=model.name,
        architecture=backbone.architecture if backbone else "",
        last_layer=backbone.last_layer if backbone else "",
        scale=model.scale,
        format=model.format,
        uri=model.uri,
        sha256=sha256,
        **facts.model_dump(),
    )


def is_of(spec: ModelSpec, model: str | OwnModel | ServedModel, engine: str | ServedEngine = "openvino") -> bool:
    """Whether a spec may be that of what a dataset file has as `model` and `engine`, without a look at the file."""
    if isinstance(engine, ServedEngine) or spec.served or isinstance(model, ServedModel):
        return _is_served(spec, model, engine)
    if isinstance(model, str):
        return planned_as(model, spec)
    facts = Facts.model_validate({name: getattr(spec, name) for name in Facts.model_fields})
    if not spec.sha256 or spec != spec_of(model, spec.sha256, facts):
        return False
    said = {"cut": model.cut, "pooling": model.pooling, "layout": model.layout, "sha256": model.sha256}
    return all(value is None or value == getattr(spec, name) for name, value in said.items())


def _is_served(spec: ModelSpec, model: str | OwnModel | ServedModel, engine: str | ServedEngine) -> bool:
    served = spec.served
    if not served or not isinstance(engine, ServedEngine) or served.model != engine.model:
        return False
    said = {"version": engine.version, "signature": engine.signature, "input": engine.input, "output": engine.cut}
    if any(value is not None and value != getattr(served, name) for name, value in said.items()):
        return False
    if not isinstance(model, ServedModel):
        return is_of(spec.model_copy(update={"served": None}), model)
    facts = {"input_shape": spec.input_shape, "width": spec.width, "cut": served.output, "served": served}
    own = {"format": "served", "pooling": "none", "sha256": served.golden, "scale": model.scale}
    return spec == ModelSpec.model_validate({"name": model.name, **facts, **own})


def _place(model: OwnModel, sha256: str, lake: str, channels: Channels | None) -> str:
    """Where the facts are kept. sha256: of the file."""
    libraries = ("openvino", "keras") if model.format in OF_KERAS else ("openvino",)
    asked: dict[str, Any] = {
        "file": sha256,
        "model": model.model_dump(mode="json", exclude={"name", "uri", "sha256"}),
        "format": model.format,
        "versions": [VERSION, *map(version, libraries)],
    }
    if channels:
        asked["channels"] = [channels.count, channels.dtype]
    return described_model(lake, hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32])


def _kept(place: str) -> Facts | None:
    try:
        return Facts.model_validate_json(storage.read(place))
    except (storage.ObjectMissing, ValidationError):  # the latter: empty or cut
        return None
