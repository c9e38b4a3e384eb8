"""What runs in the process that parses a stranger's model: it describes the file, or makes the engine's files of it.

It reads `request.json` in the folder that it is given, and writes `result.json` there, or `refused.txt` with one line.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.engines import GOLDEN_FILE
from imagefeatures.models.own.declared import OF_KERAS, OwnModel
from imagefeatures.models.own.describe import (
    RGB,
    Described,
    Facts,
    check_normalize,
    check_scale,
    cut_of,
    input_shape,
    layout_of,
    width_of,
)
from imagefeatures.models.spec import Format, ModelSpec
from imagefeatures.preprocessing.bands import Channels
from imagefeatures.reasons import printable

FILES, MADE = "files", "made"
"""Folders inside the process's own: what it reads, and what it writes."""

MEMORY_BYTES = 8 << 30
"""The most memory: TensorFlow alone sets aside two."""

CPU_SECONDS = 1800


class Request(BaseModel):
    """What is asked. main: the path inside FILES that a library opens. architecture: of a file that holds arrays alone,
    and the size of its pictures. channels: of the pictures, where they are not RGB.

    With spec the engine's files are made. With model the answer is Facts, and else what the file says of itself.
    """

    format: Format
    main: str
    architecture: str | None = None
    size: tuple[int, int] | None = None
    model: OwnModel | None = None
    channels: Channels | None = None
    spec: ModelSpec | None = None


class Result(BaseModel):
    """The answer: one of them."""

    described: Described | None = None
    facts: Facts | None = None
    made: list[str] | None = None


def main(folder: str) -> None:
    """Answer the request in the folder. A crash of a library leaves neither answer nor refusal."""
    _limit()
    place = Path(folder)
    try:
        result = answer(Request.model_validate_json((place / "request.json").read_bytes()), place)
    except ModelMismatch as error:
        (place / "refused.txt").write_text(str(error), encoding="utf-8")
    except Exception as error:  # whatever a library raises about a file that it cannot read
        line = next((line for line in map(str.strip, str(error).splitlines()) if line), "")
        reason = f"it cannot be read ({type(error).__name__}: {printable(line)[:300]})"
        (place / "refused.txt").write_text(reason, encoding="utf-8")
    else:
        (place / "result.json").write_text(result.model_dump_json(), encoding="utf-8")


def answer(request: Request, place: Path) -> Result:
    """Raises ModelMismatch saying what is wrong, without the file's name."""
    graph = _open(request, place)
    described: Described = graph.describe()
    if not described.candidates:
        raise ModelMismatch("it has no place to cut: nothing in it gives a vector or a picture for each image")
    if request.spec:
        check_scale(described.input, request.spec.scale, request.spec.input_type)
        return Result(made=_make(graph, request.spec, place / MADE))
    if not (model := request.model):
        return Result(described=described)
    count, dtype = (request.channels.count, request.channels.dtype) if request.channels else (RGB, "uint8")
    check_scale(described.input, model.scale, dtype)
    layout = layout_of(model, described.input, count)
    shape = input_shape(model, described.input, layout, count)
    check_normalize(model.scale, count)
    cut = cut_of(model, described)
    found, axes = graph.shape_of(cut, shape, layout)
    pooling, width = width_of(found, model, axes)
    return Result(
        facts=Facts(cut=cut, pooling=pooling, layout=layout, input_shape=shape, width=width, input_type=dtype)
    )


def _open(request: Request, place: Path) -> Any:
    path = place / FILES / request.main
    if request.format in OF_KERAS:
        from imagefeatures.models.own import keras_graph  # TensorFlow, for files of Keras only

        return keras_graph.KerasGraph(path, request.format, request.architecture, request.size)
    from imagefeatures.models.own import graph

    return graph.Graph(path, request.format)


def _make(graph: Any, spec: ModelSpec, folder: Path) -> list[str]:
    files, golden = graph.build(spec)
    if not np.isfinite(golden).all():
        raise ModelMismatch("it gives vectors that are not finite; see whether normalize is as it was trained")
    if np.ptp(golden, axis=0).max() == 0:
        raise ModelMismatch("it gives the same vector for four different pictures; see whether cut and normalize fit")
    folder.mkdir()
    np.save(folder / GOLDEN_FILE, golden, allow_pickle=False)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [GOLDEN_FILE, *files]


def _limit() -> None:
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
    ):
        hard = resource.getrlimit(limit)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)  # nobody may raise a limit
        resource.setrlimit(limit, (allowed, allowed))
