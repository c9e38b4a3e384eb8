"""A `preprocessor_config.json`: the pixels of its processor, computed here as Hugging Face does; and refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagefeatures.models.spec import VALUE_SCALES, ValueScale
from imagefeatures.preprocessing import Preprocessing, declared, hugging_face
from imagefeatures.preprocessing.hugging_face import Mapped, mapping
from support.processor_configs import CLIP, CONFIGS, HALF, MOBILENET, OLD_CLIP, RESNET, VIT

SIZES = [(w, h) for w in (1, 37, 224, 227, 256, 301) for h in (37, 224, 255, 259, 640)]


def chain_of(config: dict[str, Any]) -> Preprocessing:
    return declared._chain(mapping(config).chain, 3)


# The pixels, as the processors of transformers make them: image_transforms.resize and image_transforms.center_crop


def processed(image: Image.Image, config: dict[str, Any]) -> np.ndarray:
    kind = str(config.get("image_processor_type") or config["feature_extractor_type"])
    resample, size = Image.Resampling(config["resample"]), config["size"]
    if kind.startswith("ConvNext"):
        edge = size if isinstance(size, int) else size["shortest_edge"]
        if edge >= 384:
            return np.asarray(image.resize((edge, edge), resample))
        resized = image.resize(by_shortest(image.size, int(edge / config["crop_pct"])), resample)
        return center_crop(np.asarray(resized), edge, edge)
    if isinstance(size, dict) and "height" in size:
        return np.asarray(image.resize((size["width"], size["height"]), resample))
    edge = size if isinstance(size, int) else size["shortest_edge"]
    crop = config["crop_size"]
    height, width = (crop, crop) if isinstance(crop, int) else (crop["height"], crop["width"])
    return center_crop(np.asarray(image.resize(by_shortest(image.size, edge), resample)), height, width)


def by_shortest(size: tuple[int, int], edge: int) -> tuple[int, int]:
    width, height = size
    short, long = (width, height) if width <= height else (height, width)
    new_short, new_long = edge, int(edge * long / short)
    return (new_short, new_long) if width <= height else (new_long, new_short)


def center_crop(image: np.ndarray, height: int, width: int) -> np.ndarray:
    tall, wide = image.shape[:2]
    top, left = (tall - height) // 2, (wide - width) // 2
    if top >= 0 and left >= 0:
        return image[top : top + height, left : left + width]
    padded = np.zeros((max(height, tall), max(width, wide), 3), np.uint8)
    down, right = math.ceil((padded.shape[0] - tall) / 2), math.ceil((padded.shape[1] - wide) / 2)
    padded[down : down + tall, right : right + wide] = image
    top, left = top + down, left + right
    return padded[max(0, top) : min(padded.shape[0], top + height), max(0, left) : min(padded.shape[1], left + width)]


@pytest.mark.parametrize("name", CONFIGS)
def test_pixels_are_those_of_the_processor(name: str) -> None:
    random, chain = np.random.default_rng(1), chain_of(CONFIGS[name])
    for width, height in SIZES:
        if width == 1 and height > 255:  # a picture of 1 × 640 would be enlarged to 224 × 143,360
            continue
        image = Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
        np.testing.assert_array_equal(chain(image), processed(image, CONFIGS[name]), f"{width} × {height}")


def test_a_crop_that_is_larger_than_the_picture_gets_the_edges_of_the_processor() -> None:
    config = CLIP | {"size": {"shortest_edge": 201}, "crop_size": {"height": 224, "width": 210}}
    random, chain = np.random.default_rng(2), chain_of(config)
    for width, height in [(100, 100), (101, 100), (100, 140), (333, 201), (201, 205)]:
        image = Image.fromarray(random.integers(1, 256, (height, width, 3), np.uint8))
        np.testing.assert_array_equal(chain(image), processed(image, config))


def test_without_resize_the_middle_is_cut_and_without_crop_it_is_not() -> None:
    assert [step.kind for step in mapping(CLIP | {"do_resize": False}).chain] == ["center_crop"]
    assert [step.kind for step in mapping(CLIP | {"do_center_crop": False}).chain] == ["resize"]


def test_one_number_is_a_square_or_the_shorter_edge_as_the_processor_has_it() -> None:
    (square,) = mapping(VIT | {"size": 224}).chain
    assert square.size == (224, 224)
    (edge, _) = mapping(OLD_CLIP).chain
    assert edge.shortest_edge == 224
    (square, _) = mapping(OLD_CLIP | {"default_to_square": True}).chain
    assert square.size == (224, 224)


# The values


def scale_of(config: dict[str, Any]) -> ValueScale:
    return mapping(config).normalize.as_scale()


def test_the_scale_of_values_is_that_of_the_file() -> None:
    assert scale_of(VIT).is_close(VALUE_SCALES["tf"])
    assert scale_of(RESNET).is_close(VALUE_SCALES["torch"])  # without do_rescale and rescale_factor
    assert scale_of(VIT | {"do_rescale": False, "do_normalize": False}).is_close(VALUE_SCALES["none"])
    assert scale_of(VIT | {"do_normalize": False}) == ValueScale(mean=(0,), std=(255,))
    assert scale_of(VIT | {"do_rescale": False, "image_mean": 127.5, "image_std": 127.5}).is_close(VALUE_SCALES["tf"])
    assert scale_of(VIT | {"rescale_factor": 1 / 127.5, "image_mean": [1] * 3, "image_std": [1] * 3}).is_close(
        VALUE_SCALES["tf"]
    )


def test_scales_that_differ_are_not_close() -> None:
    torch = VALUE_SCALES["torch"]
    for other in (
        VALUE_SCALES["tf"],
        VALUE_SCALES["caffe"],
        torch.model_copy(update={"order": "bgr"}),
        torch.model_copy(update={"mean": (123.675, 116.28, 103.54)}),
        torch.model_copy(update={"std": (58.395, 57.12, 57.38)}),
        ValueScale(mean=(1.0, 2.0), std=(1.0,)),
    ):
        assert not torch.is_close(other)
        assert not other.is_close(torch)
    assert VALUE_SCALES["tf"].is_close(ValueScale(mean=(127.5,) * 3, std=(127.5,) * 3))


# What is refused

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "do_pad": (CLIP | {"do_pad": True}, "do_pad: pads at the right"),
    "another switch": (CLIP | {"do_flip_channel_order": True}, "do_flip_channel_order: may change pixels"),
    "another field": (VIT | {"keep_aspect_ratio": True}, "keep_aspect_ratio: may change pixels"),
    "a number": (VIT | {"size_divisor": 32}, "size_divisor: may change pixels"),
    "no size": ({k: v for k, v in VIT.items() if k != "size"}, "size: is missing, and do_resize is true"),
    "two edges": (CLIP | {"size": {"shortest_edge": 8, "longest_edge": 9}}, "size: must be a number, {shortest_edge}"),
    "a side": (VIT | {"size": {"height": 0, "width": 224}}, "size: must be [height, width], each from 1 to 4096"),
    "a truth value": (VIT | {"size": True}, "size: must be a number"),
    "no crop": ({k: v for k, v in CLIP.items() if k != "crop_size"}, "crop_size: is missing, and the middle"),
    "a crop by an edge": (CLIP | {"crop_size": {"shortest_edge": 224}}, "crop_size: must be a number, or height"),
    "a filter": (VIT | {"resample": 9}, "resample: must be one of Pillow's numbers, 0, 1, 2, 3, 4, 5"),
    "a filter's name": (VIT | {"resample": "bicubic"}, "resample: must be one of Pillow's numbers"),
    "no mean": ({k: v for k, v in VIT.items() if k != "image_mean"}, "image_mean: is missing, and do_normalize is"),
    "two means": (VIT | {"image_mean": [0.5, 0.5]}, "image_mean: must be one number, or three"),
    "no deviation": (VIT | {"image_std": [0.5, 0.5, 0]}, "std.2: must be above 0"),
    "a factor": (VIT | {"rescale_factor": "1/255"}, "rescale_factor: must be a number"),
    "a switch": (VIT | {"do_resize": "yes"}, "do_resize: must be true or false"),
    "crop_pct": (RESNET | {"crop_pct": 0}, "crop_pct: must be at most 1, and not so small"),
    "a tiny crop_pct": (RESNET | {"crop_pct": 1e-320}, "crop_pct: must be at most 1, and not so small"),
    "a list for a filter": (VIT | {"resample": [3]}, "resample: must be one of Pillow's numbers"),
    "crop_pct of another": (CLIP | {"crop_pct": 0.9}, "crop_pct: is ConvNeXT's, and this is another processor"),
    "crop_pct and a crop": (RESNET | {"do_center_crop": True}, "crop_pct: is ConvNeXT's, and this is another"),
    "a huge edge": (CLIP | {"size": {"shortest_edge": 10**400}}, "size: must be a number, {shortest_edge} or {height"),
    "a huge factor": (VIT | {"rescale_factor": 10**400}, "rescale_factor: must be a number"),
    "a factor that is none": (VIT | {"rescale_factor": float("nan")}, "rescale_factor: must be a number"),
    "a huge mean": (VIT | {"image_mean": [10**400] * 3}, "mean.0: must be a "),
    "no processor": (
        {"size": {"height": 224, "width": 224}, "resample": 2, **HALF},
        "do_center_crop: is missing, and the processor is not known",
    ),
    "the edge of LeViT": (MOBILENET | {"image_processor_type": "LevitImageProcessor"}, "image_processor_type: LevitIm"),
    "the crop of Perceiver": (
        MOBILENET | {"image_processor_type": None, "feature_extractor_type": "PerceiverFeatureExtractor"},
        "feature_extractor_type: PerceiverFeatureExtractor may change pixels in ways that its file does not say; write",
    ),
    "two edges of YOLOS": (VIT | {"image_processor_type": "YolosImageProcessor"}, "image_processor_type: Yolos"),
    "PoolFormer": (RESNET | {"feature_extractor_type": "PoolFormerFeatureExtractor"}, "feature_extractor_type: PoolF"),
    "a longer name": (VIT | {"image_processor_type": "ViTMAEImageProcessor"}, "image_processor_type: ViTMAEImageP"),
    "a name that is no text": (VIT | {"image_processor_type": ["ViTImageProcessor"]}, "image_processor_type: ['ViT"),
    "a family's bare name": (VIT | {"image_processor_type": "ViT"}, "image_processor_type: ViT may change"),
    "a number of no processor": ({"size": 224, "resample": 2, **HALF}, "size: is one number, of a processor that is"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_mapped_is_refused_by_its_name(name: str) -> None:
    config, message = REFUSED[name]
    with pytest.raises(ValueError) as refused:
        mapping(config)
    assert str(refused.value).startswith(message)


def test_what_changes_no_pixel_is_ignored() -> None:
    more = {"_processor_class": "X", "auto_map": {"AutoProcessor": "x.X"}, "do_reduce_labels": False, "pad_size": None}
    assert mapping(VIT | more | {"do_pad": False, "do_convert_rgb": None}) == mapping(VIT)


def test_a_file_of_no_known_processor_that_says_everything_is_mapped() -> None:
    config = {key: value for key, value in MOBILENET.items() if key != "image_processor_type"}
    assert mapping(config) == mapping(MOBILENET)
    assert isinstance(mapping(config), Mapped)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"\xff", "is no JSON"), (b"{", "is no JSON"), (b"[]", "is no JSON object"), (b"[" * 60_000, "is no JSON")],
    ids=["bytes", "cut", "a list", "deep"],
)  # fmt: skip
def test_other_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        hugging_face.parsed(data)
