"""What plan asks a model server: the model's version, what it takes, and its vectors of the golden pictures.

The vectors are part of the fingerprint. Two machines differ in the last bits of a vector, so no rounding of them has a
digest that both share: some value always lies at an edge. So the lake keeps what the server gave at first. A later
answer within the engines' tolerance is the same model; another one begins a record, and with it a fingerprint, of its
own.
"""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.layout import served_golden
from imagefeatures.models import reference
from imagefeatures.models.engines.serving import Serving
from imagefeatures.models.own.declared import MOST_SIDE
from imagefeatures.models.serving.client import Client
from imagefeatures.models.serving.connect import connect
from imagefeatures.models.serving.declared import ServedEngine, ServedModel
from imagefeatures.models.serving.server import About
from imagefeatures.models.spec import ModelSpec, Served
from imagefeatures.reasons import printable

MOST_RECORDS = 1000
"""So many different models under one name and version of one lake are a mistake."""


def settle(engine: ServedEngine, model: ModelSpec | ServedModel, lake: str) -> ModelSpec:
    """The spec of a served model. model: what it must be, or what the dataset file says where no file of it is here.

    Raises ModelMismatch where the server's model takes or gives something else; ServingRefused or ServingError.
    """
    about = connect(engine, Client(engine)).about()
    shape, layout = _input(engine, model, about)
    served = Served(
        model=engine.model, version=about.version, signature=engine.signature or "", input=about.input,
        output=about.output, datatype=_datatype(engine, model, about), layout=layout,
        axes=2 if about.datatype == "string" and about.shape else 1,
    )  # fmt: skip
    if isinstance(model, ModelSpec):
        spec = model.model_copy(update={"served": served})
    else:
        spec = ModelSpec(
            name=model.name, input_shape=shape, scale=model.scale, cut=served.output, pooling="none", width=0,
            format="served", served=served,
        )  # fmt: skip
    vectors, version = _golden(engine, spec)
    if isinstance(model, ModelSpec) and vectors.shape[1] != model.width:
        raise ModelMismatch(
            f"MODEL_MISMATCH: the model server at {engine} gives vectors of {vectors.shape[1]} values, and "
            f"{model.name} has {model.width}; write `model: {{name: …}}` for a model of another name"
        )
    spec = spec.model_copy(update={"width": vectors.shape[1], "served": served.model_copy(update={"version": version})})
    golden = hashlib.sha256(_recorded(spec, lake, vectors)).hexdigest()
    return with_golden(spec, golden)


def with_golden(spec: ModelSpec, golden: str) -> ModelSpec:
    """golden: SHA-256 of the recorded vectors, which stand in for the file of a model that is not here."""
    assert spec.served  # noqa: S101 - both callers have just set it
    update = {"served": spec.served.model_copy(update={"golden": golden})}
    return spec.model_copy(update=update | ({"sha256": golden} if spec.format == "served" else {}))


def recorded(spec: ModelSpec, lake: str) -> bytes:
    """The recorded vectors of a spec, as a NumPy file. Raises ModelMismatch where the lake has them no more."""
    wanted = spec.served.golden if spec.served else ""
    for number in range(MOST_RECORDS):
        try:
            data = storage.read(place := served_golden(lake, _question(spec), number))
        except storage.ObjectMissing:
            break
        if hashlib.sha256(data).hexdigest() == wanted:
            return data
    raise ModelMismatch(f"MODEL_MISMATCH: {place} is gone; start a new run, which asks the model server again")


def _golden(engine: ServedEngine, spec: ModelSpec) -> tuple[np.ndarray, str]:
    """The server's vectors of the golden pictures, and its version. Raises ModelMismatch for what are no vectors."""
    serving = Serving(engine, spec)
    pixels = reference.golden_pixels(spec.input_shape)
    vectors, said = serving.vectors(pixels)
    head = f"MODEL_MISMATCH: the model server at {engine}"
    if not np.isfinite(vectors).all():
        raise ModelMismatch(f"{head} gives NaN or infinity for the golden pictures; is `normalize` the model's?")
    if not np.abs(vectors - vectors[0]).max() > 0:
        raise ModelMismatch(f"{head} gives the same vector for every picture")
    singly = [serving.vectors(pixels[index : index + 1]) for index in range(len(pixels))]
    alone = np.concatenate([one for one, _ in singly])
    if alone.shape != vectors.shape:
        raise ModelMismatch(f"{head} gives a picture alone a vector of another length than in a batch")
    reference.check_parity(f"the model server at {engine}, a picture alone,", alone, vectors, by_size=spec.is_own)
    many = np.resize(pixels, (engine.batch, *pixels.shape[1:]))  # the pictures over and over, as many as runs send
    together, of_many = serving.vectors(many)
    if together.shape[1:] != vectors.shape[1:]:
        raise ModelMismatch(f"{head} gives {engine.batch} pictures vectors of another length than 4")
    expected = np.resize(vectors, together.shape)
    reference.check_parity(
        f"the model server at {engine}, of {engine.batch} pictures at once,", together, expected, by_size=spec.is_own
    )
    if len({said, of_many, *(one for _, one in singly)}) > 1:
        raise ModelMismatch(f"{head} has changed its version while it was asked; try again")
    return vectors, serving.version_now(said)


def _recorded(spec: ModelSpec, lake: str, vectors: np.ndarray) -> bytes:
    """The vectors of the lake's record that these are equal to within the tolerance; of a new one where none is."""
    sink = io.BytesIO()
    np.save(sink, vectors, allow_pickle=False)
    for number in range(MOST_RECORDS):
        place = served_golden(lake, _question(spec), number)
        storage.write(place, sink.getvalue(), only_if_absent=True)
        data = storage.read(place)  # what was there before, or another plan's, if it was first
        try:
            held: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
            if held.shape != vectors.shape:
                continue
            reference.check_parity("the model server", vectors, held, by_size=spec.is_own)
        except ModelMismatch:
            continue
        except (ValueError, EOFError, OSError):
            raise ModelMismatch(
                f"MODEL_MISMATCH: {place} is damaged; delete it: the next run records the model server's vectors anew"
            ) from None
        return data
    raise ModelMismatch(f"MODEL_MISMATCH: {spec.name}: the lake has {MOST_RECORDS} models of this name and version")


def _question(spec: ModelSpec) -> str:
    """The digest of what was asked: the model, and all that decides what is sent to it."""
    assert spec.served  # noqa: S101 - of a served model alone
    asked = {
        "name": spec.name,
        "served": spec.served.model_dump(exclude={"golden"}),
        "input_shape": spec.input_shape,
        "scale": spec.value_scale.formula,
        "cut": spec.cut,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def _input(engine: ServedEngine, model: ModelSpec | ServedModel, about: About) -> tuple[tuple[int, int, int], str]:
    """Height, width and channels, and the order of the axes. Raises ModelMismatch where they are unknown, or differ."""
    size = model.input_shape[:2] if isinstance(model, ModelSpec) else model.size
    wanted = model.input_shape if isinstance(model, ModelSpec) else None
    said = about.shape
    if engine.send == "png" or about.datatype == "string" or said is None or len(said) != 3:
        if size is None:
            raise ModelMismatch(
                f"model.size: is required, as the model server at {engine} does not say how large its pictures are"
            )
        return wanted or (*size, 3), "nhwc"
    channels = {wanted[2]} if wanted else {1, 3}
    layouts = [layout for layout, axis in (("nhwc", 2), ("nchw", 0)) if said[axis] in channels]
    if not layouts:
        raise ModelMismatch(
            f"engine.input: {printable(about.input)} of the model server at {engine} takes {_shown(said)}, no pictures"
        )
    layout = layouts[0]
    sides, depth = (said[:2], said[2]) if layout == "nhwc" else (said[1:], said[0])
    height, width = (side or (size[axis] if size else None) for axis, side in enumerate(sides))
    if height is None or width is None:
        raise ModelMismatch(f"model.size: is required, as the model server at {engine} takes pictures of any size")
    found = (height, width, int(depth or 0))
    if not all(1 <= side <= MOST_SIDE for side in found[:2]):  # before pictures of that size are drawn
        raise ModelMismatch(
            f"engine.input: the model server at {engine} takes pictures of {_shown(found)} (height, width, channels); "
            f"a side of 1 to {MOST_SIDE} is taken"
        )
    if size and found[:2] != tuple(size):
        raise ModelMismatch(
            f"MODEL_MISMATCH: the model server at {engine} takes pictures of {_shown(found)} (height, width, "
            f"channels), and {model.name} has {_shown((*size, found[2]))}"
        )
    return found, layout


def _datatype(engine: ServedEngine, model: ModelSpec | ServedModel, about: About) -> str:
    """Of what is sent. Raises ModelMismatch where the server takes something else, or does not say and must."""
    said = about.datatype
    wanted = "string" if engine.send == "png" else engine.datatype
    if said not in ("", "uint8", "float32", "string"):
        raise ModelMismatch(
            f"engine.input: {printable(about.input)} of the model server at {engine} takes {printable(said)[:50]}, "
            "which is not sent"
        )
    if wanted and said and wanted != said:
        field = "send" if "string" in (wanted, said) else "datatype"
        raise ModelMismatch(f"engine.{field}: the model server at {engine} takes {said}, and {wanted} would be sent")
    found = wanted or said
    if found == "string" and engine.send == "pixels":
        raise ModelMismatch(f"engine.send: the model server at {engine} takes encoded images; write `send: png`")
    if not found:
        raise ModelMismatch(
            f"engine.datatype: is required, uint8 or float32, as the model server at {engine} does not say it"
        )
    if found == "float32" and isinstance(model, ServedModel) and model.normalize is None:
        raise ModelMismatch(
            f"model.normalize: is required, as the model server at {engine} takes float32 and no server says how its "
            "model was trained: tf, torch, caffe, none (the model scales by itself) or {scale, mean, std, order}"
        )
    return found


def _shown(shape: tuple[int | None, ...]) -> str:
    return " × ".join("any" if side is None else str(side) for side in shape)
