"""What a model's file says of itself, and what follows from it and from the dataset file: the facts of a ModelSpec."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pydantic import BaseModel

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.models.spec import Pooling
from imagefeatures.reasons import printable
from imagefeatures.wording import meant

CHANNELS = 3


class Input(BaseModel):
    """The model's input. shape: None for a side that the file leaves open, the first is the number of images."""

    name: str
    shape: list[int | None]
    type: str


class Candidate(BaseModel):
    """Where the model can be cut. shape: as of Input."""

    name: str
    shape: list[int | None]


class Described(BaseModel):
    """A model's file. output: the candidate that is the model's own output."""

    input: Input
    candidates: list[Candidate]
    output: str


class Facts(BaseModel):
    """What plan writes into run.json of a model's file.

    shape: of the cut's output for one image, without the number of images.
    """

    cut: str
    pooling: Pooling
    layout: str
    input_shape: tuple[int, int, int]
    width: int


def layout_of(model: OwnModel, given: Input) -> str:
    """nhwc or nchw: where the input's three channels are. Raises ModelMismatch when it takes no image in colour."""
    shape = given.shape
    if len(shape) != 4:
        raise ModelMismatch(f"its input has the shape {shown(shape)}, and an image has four sides with their number")
    may_be = {"nhwc": shape[3] in (CHANNELS, None), "nchw": shape[1] in (CHANNELS, None)}
    possible = [layout for layout, fits in may_be.items() if fits]
    if model.layout:
        possible = [layout for layout in possible if layout == model.layout]
        if not possible:
            raise ModelMismatch(f"layout: its input has the shape {shown(shape)}, in which {model.layout} is not")
    if not possible:
        raise ModelMismatch(f"its input has the shape {shown(shape)}: there is no axis of {CHANNELS} channels")
    exact = [layout for layout in possible if shape[3 if layout == "nhwc" else 1] == CHANNELS]
    if len(exact or possible) > 1:
        raise ModelMismatch(f"layout: its input has the shape {shown(shape)}; say layout: nhwc or layout: nchw")
    return (exact or possible)[0]


def input_shape(model: OwnModel, given: Input, layout: str) -> tuple[int, int, int]:
    """Height, width and channels. Raises ModelMismatch when neither the file nor `size` says them, or both differ."""
    sides = given.shape[1:3] if layout == "nhwc" else given.shape[2:4]
    found = []
    for name, side, wanted in zip(("height", "width"), sides, model.size or (None, None), strict=True):
        if side is not None and wanted is not None and side != wanted:
            raise ModelMismatch(f"size: says a {name} of {wanted}, and the file takes {side}; leave size out")
        settled = side if side is not None else wanted
        if settled is None:
            raise ModelMismatch(
                f"size: is required, as the file leaves it open (its input is {shown(given.shape)}); "
                "such as size: [224, 224]"
            )
        found.append(settled)
    return (found[0], found[1], CHANNELS)


def width_of(shape: Sequence[int], model: OwnModel, axes: Sequence[int]) -> tuple[Pooling, int]:
    """How the cut's output becomes a vector, and its length. shape: for one image. axes: those that pooling takes.

    Raises ModelMismatch when the shape needs a pooling that is not given, or does not have what is to be pooled.
    """
    values = 1
    for side in shape:
        values *= side
    is_vector = sum(side > 1 for side in shape) <= 1
    pooling: Pooling = model.pooling or ("none" if is_vector else "avg")
    if pooling == "none" and not is_vector:
        raise ModelMismatch(f"pooling: the cut gives {shown(shape)} for an image, no vector; say avg, max or flatten")
    if pooling in ("avg", "max"):
        if len(shape) not in (3, 4):
            raise ModelMismatch(f"pooling: the cut gives {shown(shape)} for an image, which has no sides to pool")
        if len(shape) == 3 and not model.pooling:
            raise ModelMismatch(f"pooling: is required where the cut gives {shown(shape)}: avg, max or flatten")
        for axis in axes:
            values //= shape[axis]
    if not 1 < values <= MOST_WIDTH:
        raise ModelMismatch(f"cut: gives a vector of {values} values; 2 to {MOST_WIDTH} are taken")
    return pooling, values


MOST_WIDTH = 65_536
"""The longest vector: a shard of 512 of them has 134 MB."""


def check_cut(name: str, known: Collection[str]) -> None:
    """Raise ModelMismatch for a cut that is not there, with the name that was probably meant."""
    if name not in known:
        few = list(known) if len(known) <= 12 else []
        near = meant(name, list(known))
        hint = near if near.startswith(" (did") else meant(name, few)
        raise ModelMismatch(
            f"cut: there is no {printable(name)!r}{printable(hint)}; imagefeatures model inspect lists the names"
        )


def shown(shape: Sequence[int | None]) -> str:
    """A shape for a person.

    >>> shown([None, 224, 224, 3])
    '[?, 224, 224, 3]'
    """
    return f"[{', '.join('?' if side is None else str(side) for side in shape)}]"
