"""A `preprocessor_config.json` of Hugging Face as a chain of transforms and a scale of values.

What is mapped are the processors of FAMILIES. Their pixels are those of the processors that use Pillow. Whatever else a
file says of the pixels is refused by its name. So is another processor: LeViT's enlarges the size by 256 / 224, and
Perceiver's cuts before it resizes, which no key of their files says.

The shape of these files: https://huggingface.co/docs/transformers/main_classes/image_processor
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from imagefeatures.errors import ParamsError, Rejected
from imagefeatures.preprocessing import declared
from imagefeatures.preprocessing.declared import PreprocessorConfig
from imagefeatures.preprocessing.geometry import CenterCrop, Interpolation, Resize
from imagefeatures.reasons import printable

if TYPE_CHECKING:
    from imagefeatures.datasets import Dataset
    from imagefeatures.models.own.declared import Normalization

MOST_BYTES = 64 * 1024
"""Such a file has about 500 bytes."""

FILTERS: dict[int, Interpolation] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    4: "box",
    5: "hamming",
}
"""By Pillow's numbers."""

DEFAULT_RESCALE = 1 / 255
CROP_PCT = 224 / 256
WHOLE_FROM = 384
"""From this size on ConvNeXT stretches a picture, and cuts nothing off."""

MAPPED = {
    "do_resize", "size", "resample", "do_center_crop", "crop_size", "do_convert_rgb", "do_pad", "do_rescale",
    "rescale_factor", "do_normalize", "image_mean", "image_std", "crop_pct", "default_to_square",
    "image_processor_type", "feature_extractor_type",
}  # fmt: skip

OF_NO_PIXEL = {
    "processor_class", "auto_map", "return_tensors", "data_format", "input_data_format", "device", "num_channels",
    "model_input_names", "transformers_version", "disable_grouping", "image_seq_length", "backend",
}  # fmt: skip
"""Keys that change no pixel; so do those that begin with an underscore."""


@dataclass(frozen=True)
class Family:
    """What the processors of one name do where their file says nothing.

    square: whether a size of one number is a square; else it is the shorter edge. crops: whether the middle is cut out.
    """

    square: bool
    crops: bool
    filter: int


FAMILIES = {
    "CLIP": Family(square=False, crops=True, filter=3),
    "ViT": Family(square=True, crops=False, filter=2),
    "DeiT": Family(square=True, crops=True, filter=3),
    "ConvNext": Family(square=False, crops=False, filter=2),
    "Bit": Family(square=False, crops=True, filter=3),
    "MobileNetV1": Family(square=False, crops=True, filter=2),
    "MobileNetV2": Family(square=False, crops=True, filter=2),
    "Siglip": Family(square=True, crops=False, filter=3),
    "Blip": Family(square=True, crops=False, filter=3),
    "Beit": Family(square=True, crops=True, filter=3),
    "ChineseCLIP": Family(square=False, crops=True, filter=3),
    "Pvt": Family(square=True, crops=False, filter=2),
    "ViTHybrid": Family(square=False, crops=True, filter=3),
    "EfficientFormer": Family(square=True, crops=True, filter=3),
    "OwlViT": Family(square=True, crops=False, filter=3),
}
"""By the beginning of the processor's name. ResNet has ConvNeXT's."""

MOST_NAME = 100
"""So many characters of a name are shown."""

ENDINGS = ("ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor")


@dataclass(frozen=True)
class Mapped:
    """chain: as a dataset file would declare it; empty where pictures are only scaled. normalize: of the values."""

    chain: tuple[Resize | CenterCrop, ...]
    normalize: Normalization


def settled(dataset: Dataset) -> Dataset:
    """The dataset with the transforms of its preprocessor_config.json in the place of the file's URI.

    A model of the user's own that leaves `normalize` open gets it. A dataset that names no such file stays as it is.
    Raises ParamsError when there is no such file, when a part of it cannot be mapped, or when its scale of values is
    another one than the model has; StoreRefused or StoreError.
    """
    from imagefeatures.models.backbones import BACKBONES
    from imagefeatures.models.declared import name_of
    from imagefeatures.models.own.declared import FROM_CONFIG, OwnModel

    if not isinstance(dataset.preprocess, PreprocessorConfig):
        return dataset
    uri = dataset.preprocess.preprocessor_config
    head = f"preprocess: {printable(uri)}"
    try:
        mapped = mapping(parsed(_read(uri)))
        declared.check(mapped.chain)
    except (ValueError, Rejected) as error:
        raise ParamsError(f"{head}: {error}") from None
    found, models = mapped.normalize.as_scale(), []
    if dataset.features == "none":  # no model takes the values
        return dataset.model_copy(update={"preprocess": mapped.chain})
    for model in dataset.every_model:
        if isinstance(model, OwnModel) and model.normalize == FROM_CONFIG:
            # Of a known architecture the scale is known, as of a model by name.
            model = model.model_copy(update={"normalize": None if model.architecture else mapped.normalize})
        scale = BACKBONES[model].value_scale if isinstance(model, str) else model.value_scale
        if not found.is_close(scale):
            raise ParamsError(
                f"{head}: scales values by {found.formula}, and {name_of(model)} takes {scale.formula}: it is of "
                "another model"
            )
        models.append(model)
    several = {"models": tuple(models)} if dataset.models else {}
    return dataset.model_copy(update={"preprocess": mapped.chain, "model": models[0]} | several)


def parsed(data: bytes) -> dict[str, Any]:
    """The object in a file. Raises ValueError."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None
    if not isinstance(content, dict):
        raise ValueError("is no JSON object, as a preprocessor_config.json is")
    return content


def mapping(config: Mapping[str, Any]) -> Mapped:
    """What a file means. config: its object. Raises ValueError, naming the key, where it says what no chain does."""
    _refuse_unknown(config)
    family = _family(config)
    try:
        return Mapped(tuple(_chain(config, family)), _normalize(config))
    except ValidationError as error:
        from imagefeatures.wording import one_line

        raise ValueError(one_line(error)) from None


def _read(uri: str) -> bytes:
    from imagefeatures import storage

    try:
        size = storage.stat(uri).size
        data = storage.read_part(uri, 0, MOST_BYTES + 1) if size <= MOST_BYTES else b""
    except storage.ObjectMissing:
        raise ValueError("there is no such file") from None
    if max(size, len(data)) > MOST_BYTES:
        raise ValueError(f"has more than {MOST_BYTES:,} bytes: it is no preprocessor_config.json")
    return data


def _refuse_unknown(config: Mapping[str, Any]) -> None:
    if config.get("do_pad"):
        raise ValueError("do_pad: pads at the right and the lower edge, which no transform does")
    for key, value in config.items():
        known = key in MAPPED or key in OF_NO_PIXEL or key.startswith("_")
        if not known and value is not None and value is not False:
            raise ValueError(f"{printable(key)}: may change pixels, and no transform is known for it")


def _family(config: Mapping[str, Any]) -> Family | None:
    """The family by the processor's name; None where the file names none. Raises ValueError for an unknown one."""
    key = next((key for key in ("image_processor_type", "feature_extractor_type") if config.get(key)), None)
    if key is None:
        return None
    name = str(config[key])
    for end in ENDINGS:
        if name.endswith(end) and name.removesuffix(end) in FAMILIES:
            return FAMILIES[name.removesuffix(end)]
    raise ValueError(
        f"{key}: {printable(name)[:MOST_NAME]} may change pixels in ways that its file does not say; write the "
        "transforms as a list"
    )


def _chain(config: Mapping[str, Any], family: Family | None) -> list[Resize | CenterCrop]:
    chain: list[Resize | CenterCrop] = []
    crop_pct = config.get("crop_pct")
    is_convnext = family is FAMILIES["ConvNext"] or (family is None and crop_pct is not None)
    if crop_pct is not None and (not is_convnext or config.get("do_center_crop")):
        raise ValueError("crop_pct: is ConvNeXT's, and this is another processor")
    if _flag(config, "do_resize", True):
        pixels_by = _filter(config, family)
        size = config.get("size")
        if size is None:
            raise ValueError("size: is missing, and do_resize is true")
        edge, sides = _edge_or_sides(size, _is_square(config, family))
        if edge and is_convnext:
            return _of_convnext(edge, _number(config, "crop_pct", CROP_PCT), pixels_by)
        resize = {"shortest_edge": edge} if edge else {"size": sides}
        chain.append(Resize.model_validate({**resize, "interpolation": pixels_by}))
    crops = family.crops if family else None
    if _flag(config, "do_center_crop", crops):
        if config.get("crop_size") is None:
            raise ValueError("crop_size: is missing, and the middle is to be cut out")
        edge, sides = _edge_or_sides(config["crop_size"], square=True, key="crop_size")
        if edge:
            raise ValueError("crop_size: must be a number, or height and width")
        chain.append(CenterCrop.model_validate({"size": sides, "rounding": "down"}))
    return chain


def _of_convnext(edge: int, crop_pct: float, pixels_by: Interpolation) -> list[Resize | CenterCrop]:
    if edge >= WHOLE_FROM:
        return [Resize(size=(edge, edge), interpolation=pixels_by)]
    if not edge / 4096 <= crop_pct <= 1:
        raise ValueError(f"crop_pct: must be at most 1, and not so small that {edge} / crop_pct is above 4096")
    middle = CenterCrop(size=(edge, edge), rounding="down")
    return [Resize(shortest_edge=int(edge / crop_pct), interpolation=pixels_by), middle]


def _edge_or_sides(size: Any, square: bool | None, key: str = "size") -> tuple[int | None, tuple[Any, Any] | None]:
    """The shorter edge, or height and width."""
    if _is_side(size):
        if square is None:
            raise ValueError(f"{key}: is one number, of a processor that is not known: say default_to_square")
        return (None, (size, size)) if square else (size, None)
    if isinstance(size, dict) and set(size) == {"shortest_edge"} and _is_side(size["shortest_edge"]):
        return size["shortest_edge"], None
    if isinstance(size, dict) and set(size) == {"height", "width"}:
        return None, (size["height"], size["width"])
    if isinstance(size, list) and len(size) == 2:
        return None, (size[0], size[1])
    raise ValueError(f"{key}: must be a number, {{shortest_edge}} or {{height, width}}, each from 1 to 4096")


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 4096


def _is_square(config: Mapping[str, Any], family: Family | None) -> bool | None:
    given = config.get("default_to_square")
    return given if isinstance(given, bool) else family.square if family else None


def _filter(config: Mapping[str, Any], family: Family | None) -> Interpolation:
    number = config.get("resample", family.filter if family else None)
    if not isinstance(number, int) or isinstance(number, bool) or number not in FILTERS:
        raise ValueError(f"resample: must be one of Pillow's numbers, {', '.join(map(str, FILTERS))}")
    return FILTERS[number]


def _normalize(config: Mapping[str, Any]) -> Normalization:
    """How values are scaled: (value × rescale_factor - mean) / std, each part of it only where the file asks for it."""
    from imagefeatures.models.own.declared import Normalization

    rescales = _flag(config, "do_rescale", True)
    scale = _number(config, "rescale_factor", DEFAULT_RESCALE) if rescales else 1.0
    if not _flag(config, "do_normalize", True):
        return Normalization(scale=scale)
    for key in ("image_mean", "image_std"):
        if config.get(key) is None:
            raise ValueError(f"{key}: is missing, and do_normalize is true")
        if isinstance(config[key], list) and len(config[key]) not in (1, 3):
            raise ValueError(f"{key}: must be one number, or three")
    return Normalization.model_validate({"scale": scale, "mean": config["image_mean"], "std": config["image_std"]})


def _flag(config: Mapping[str, Any], key: str, default: bool | None) -> bool:
    value = config.get(key)
    value = default if value is None else value
    if not isinstance(value, bool):
        why = "is missing, and the processor is not known" if value is None else "must be true or false"
        raise ValueError(f"{key}: {why}")
    return value


def _number(config: Mapping[str, Any], key: str, default: float) -> float:
    value = config.get(key)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise ValueError(f"{key}: must be a number")
    return float(value)
