"""What a model's file says of itself, and what follows from it and from the dataset file: the facts of a ModelSpec."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pydantic import BaseModel

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.own.declared import MOST_SIDE, OF_KERAS, OwnModel
from imagefeatures.models.spec import VALUE_SCALES, Pooling, Scale, ValueScale
from imagefeatures.preprocessing.bands import MOST_BANDS, DType
from imagefeatures.reasons import printable
from imagefeatures.wording import meant

RGB = 3
"""The channels of a model's input, where the dataset declares none."""

HOLD_PIXELS = {f"{kind}{bits}" for kind in ("u", "uint") for bits in (8, 16, 32, 64)} | {
    f"{kind}{bits}" for kind in ("i", "int") for bits in (16, 32, 64)
}
"""Types of whole numbers that hold each value of 0 to 255, as OpenVINO and as Keras call them. int8, 4 bits and truth
values do not."""


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
    """A model's file. output: the candidate that is the model's own output; empty where none of them is."""

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
    input_type: DType = "uint8"


def layout_of(model: OwnModel, given: Input, channels: int = RGB) -> str:
    """nhwc or nchw: where the input's channels are. Raises ModelMismatch when it takes another number of them."""
    shape = given.shape
    if len(shape) != 4:
        raise ModelMismatch(f"its input has the shape {shown(shape)}, and an image has four sides with their number")
    may_be = {"nhwc": shape[3] in (channels, None), "nchw": shape[1] in (channels, None)}
    if model.format in OF_KERAS:  # with many channels a side may have as many pixels
        may_be["nchw"] = False
    possible = [layout for layout, fits in may_be.items() if fits]
    if model.layout:
        possible = [layout for layout in possible if layout == model.layout]
        if not possible:
            raise ModelMismatch(f"layout: its input has the shape {shown(shape)}, in which {model.layout} is not")
    if not possible:
        more = _of_channels(shape, model)
        raise ModelMismatch(f"its input has the shape {shown(shape)}: there is no axis of {channels} channels{more}")
    exact = [layout for layout in possible if shape[3 if layout == "nhwc" else 1] == channels]
    if len(exact or possible) > 1:
        raise ModelMismatch(f"layout: its input has the shape {shown(shape)}; say layout: nhwc or layout: nchw")
    return (exact or possible)[0]


def _of_channels(shape: Sequence[int | None], model: OwnModel) -> str:
    """What to write where the input has another number of channels than the dataset declares."""
    ends = [shape[3]] if model.format in OF_KERAS else [shape[1], shape[3]]
    found = sorted({side for side in ends if side is not None and side <= MOST_BANDS})
    return f"; channels: says how many the pictures have, here {' or '.join(map(str, found))}" if found else ""


def takes_whole_numbers(given: Input) -> bool:
    """Whether the input is of whole numbers: Keras says float32, OpenVINO f32."""
    return not given.type.startswith(("f", "bf"))


def check_scale(given: Input, scale: Scale, dtype: DType = "uint8") -> None:
    """Raise ModelMismatch when the input's type cannot hold the pixel values, of dtype, as they are scaled."""
    if not takes_whole_numbers(given):
        return
    if dtype != "uint8":
        raise ModelMismatch(
            f"its input is of {given.type}, and the pictures are of {dtype} (channels); export it with an input of "
            "float32"
        )
    if given.type not in HOLD_PIXELS:
        named = {"i8": "int8"}.get(given.type, given.type)
        raise ModelMismatch(
            f"its input is of {named}, which cannot hold pixel values of 0 to 255; export it with an input of float32"
        )
    numbers = scale if isinstance(scale, ValueScale) else VALUE_SCALES[scale]
    if set(numbers.mean) != {0} or set(numbers.std) != {1}:
        raise ModelMismatch(
            f"normalize: its input is of {given.type}, which cannot hold scaled values; say normalize: none, or export "
            "it with an input of float32"
        )


def check_normalize(scale: Scale, channels: int) -> None:
    """Raise ModelMismatch when a scale is of another number of channels than the input has."""
    numbers = scale if isinstance(scale, ValueScale) else VALUE_SCALES[scale]
    found = max(len(numbers.mean), len(numbers.std))
    if found not in (1, channels) or (numbers.order == "bgr" and channels != RGB):
        raise ModelMismatch(
            f"normalize: is of {max(found, RGB)} channels, and its input has {channels}; say none, one number, or one "
            "for each channel"
        )


def input_shape(model: OwnModel, given: Input, layout: str, channels: int = RGB) -> tuple[int, int, int]:
    """Height, width and channels.

    Raises ModelMismatch when neither the file nor `size` says them, when both differ, or one is beyond MOST_SIDE.
    """
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
        if not 1 <= settled <= MOST_SIDE:
            raise ModelMismatch(f"its input has a {name} of {settled} pixels; 1 to {MOST_SIDE} are taken")
        found.append(settled)
    return (found[0], found[1], channels)


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


def cut_of(model: OwnModel, described: Described) -> str:
    """Where the model is cut. Raises ModelMismatch when the dataset file does not say it and the file cannot."""
    if cut := model.cut or described.output:
        return cut
    raise ModelMismatch(
        "cut: is required, as the model's own output is no vector or picture with a known number of sides; "
        "imagefeatures model inspect lists the names"
    )


def check_one_image(cut: str, shape: Sequence[int]) -> None:
    """Raise ModelMismatch for a cut whose output does not begin with the number of images. shape: for one image."""
    if shape[0] != 1:
        raise ModelMismatch(f"cut: {cut} gives {list(shape)} for one image, where the first must be 1; choose another")


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
