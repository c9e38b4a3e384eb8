"""A `preprocessor_config.json`: the pixels of its processor, computed here as Hugging Face's code does; and refusals.

The files are written here, in the shapes that the documentation of transformers describes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from imagefeatures import storage
from imagefeatures.dataset_files import find_dataset
from imagefeatures.datasets import Dataset
from imagefeatures.errors import DatasetError, ParamsError
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.spec import VALUE_SCALES, ValueScale
from imagefeatures.plan import load_run, plan_run
from imagefeatures.preprocessing import Preprocessing, declared, hugging_face
from imagefeatures.preprocessing.hugging_face import Mapped, mapping
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support import model_files
from support.photos import fill, jpeg
from support.shared import PARTITION

HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
CLIP = {
    "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True,
    "do_rescale": True, "do_resize": True, "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "CLIPImageProcessor", "image_std": [0.26862954, 0.26130258, 0.27577711],
    "processor_class": "CLIPProcessor", "resample": 3, "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 224},
}  # fmt: skip
OLD_CLIP = {
    "crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": CLIP["image_mean"],
    "image_std": CLIP["image_std"], "resample": 3, "size": 224,
}  # fmt: skip
VIT = {
    "do_normalize": True, "do_rescale": True, "do_resize": True, **HALF, "image_processor_type": "ViTImageProcessor",
    "resample": 2, "rescale_factor": 0.00392156862745098, "size": {"height": 224, "width": 224},
}  # fmt: skip
RESNET = {
    "crop_pct": 0.875, "do_normalize": True, "do_resize": True, "feature_extractor_type": "ConvNextFeatureExtractor",
    **IMAGENET, "resample": 3, "size": 224,
}  # fmt: skip
CONVNEXT_384 = {
    "crop_pct": None, "do_normalize": True, "do_rescale": True, "do_resize": True, **IMAGENET,
    "image_processor_type": "ConvNextImageProcessor", "resample": 3, "size": {"shortest_edge": 384},
}  # fmt: skip
MOBILENET = {
    "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_normalize": True, "do_rescale": True,
    "do_resize": True, **HALF, "image_processor_type": "MobileNetV2ImageProcessor", "resample": 2,
    "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 256},
}  # fmt: skip
CONFIGS = {
    "clip": CLIP,
    "old clip": OLD_CLIP,
    "vit": VIT,
    "resnet": RESNET,
    "convnext": CONVNEXT_384,
    "mobilenet": MOBILENET,
}
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


# In a dataset file and in a run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", {"red/a.jpg": jpeg(1)})


def dataset_file(settings: Settings, photos: Path, config: dict[str, Any] | bytes, **fields: Any) -> Dataset:
    """A dataset whose file names a preprocessor_config.json beside it."""
    data = config if isinstance(config, bytes) else json.dumps(config).encode()
    (settings.datasets / "preprocessor_config.json").write_bytes(data)
    content = {"name": "photos", "source": f"file://{photos}/"}
    content |= {"preprocess": {"preprocessor_config": "preprocessor_config.json"}, **fields}
    (settings.datasets / "photos.yaml").write_text(yaml.safe_dump(content))
    return find_dataset(settings.datasets, "photos")


def test_a_run_has_the_chain_and_not_the_file(settings: Settings, photos: Path) -> None:
    dataset = dataset_file(settings, photos, MOBILENET)
    run_file = plan_run(dataset, RunParams(), PARTITION, settings)
    (settings.datasets / "preprocessor_config.json").write_bytes(b"changed")
    run = load_run(run_file, settings.lake)
    kinds = [step.kind for step in run.preprocessing.chain]
    assert kinds == ["upright", "rgb", "resize", "center_crop"]
    assert b"preprocessor_config" not in storage.read(run_file)
    same = [{"resize": {"shortest_edge": 256, "interpolation": "bilinear"}}]
    same += [{"center_crop": {"size": [224, 224], "rounding": "down"}}]
    by_list = Dataset.model_validate({"name": "photos", "source": f"file://{photos}/", "preprocess": same})
    assert load_run(plan_run(by_list, RunParams(), PARTITION, settings)).fingerprint == run.fingerprint


def test_a_processor_that_stretches_by_bicubic_is_the_default(settings: Settings, photos: Path) -> None:
    run = load_run(plan_run(dataset_file(settings, photos, VIT | {"resample": 3}), RunParams(), PARTITION, settings))
    assert run.fingerprint == "63e4fab4295764c4c5a908f0aaaec921"


def test_a_model_of_ones_own_gets_its_scale_from_the_file(settings: Settings, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "small.onnx").write_bytes(model_files.onnx())
    model = {"name": "small", "uri": f"file://{tmp_path}/small.onnx", "cut": "/pool"}
    sides = {"height": model_files.HEIGHT, "width": model_files.WIDTH}
    dataset = dataset_file(settings, photos, VIT | IMAGENET | {"size": sides}, model=model)
    run = load_run(plan_run(dataset, RunParams(), PARTITION, settings))
    assert run.model.value_scale.is_close(VALUE_SCALES["torch"])
    with pytest.raises(ParamsError, match=r"^preprocess: file://.*: scales values by .* and small takes x / 127.5 - 1"):
        plan_run(dataset_file(settings, photos, VIT | IMAGENET, model=model | {"normalize": "tf"}), RunParams(),
                 PARTITION, settings)  # fmt: skip


def test_the_scale_of_another_model_is_refused_with_both(settings: Settings, photos: Path) -> None:
    with pytest.raises(ParamsError) as refused:
        plan_run(dataset_file(settings, photos, MOBILENET | IMAGENET), RunParams(), PARTITION, settings)
    assert str(refused.value).endswith(
        "/preprocessor_config.json: scales values by (rgb - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375], and "
        "mobilenet_v2 takes x / 127.5 - 1: it is of another model"
    )
    assert BACKBONES["resnet50_v2"].value_scale.is_close(scale_of(MOBILENET))


def test_another_size_than_the_models_is_refused_with_both(settings: Settings, photos: Path) -> None:
    with pytest.raises(ParamsError, match=r"^preprocess: makes 192 × 224 × 3 .* of a picture, and mobilenet_v2 takes "):
        sides = {"height": 192, "width": 224}
        plan_run(dataset_file(settings, photos, VIT | {"size": sides}), RunParams(), PARTITION, settings)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"no json", "is no JSON"),
        (b" " * 70_000, "has more than 65,536 bytes: it is no preprocessor_config.json"),
        (CLIP | {"do_center_crop": False}, "resize: leaves the shape open"),
    ],
    ids=["text", "large", "open"],
)
def test_a_wrong_file_is_one_line_of_plan(
    config: dict[str, Any] | bytes, message: str, settings: Settings, photos: Path
) -> None:
    with pytest.raises(ParamsError, match=rf"^preprocess: file://\S+/preprocessor_config\.json: {message}"):
        plan_run(dataset_file(settings, photos, config), RunParams(), PARTITION, settings)


def test_a_missing_file_is_one_line_of_plan(settings: Settings, photos: Path) -> None:
    dataset = dataset_file(settings, photos, VIT)
    (settings.datasets / "preprocessor_config.json").unlink()
    with pytest.raises(ParamsError, match=r"^preprocess: file://\S+: there is no such file$"):
        plan_run(dataset, RunParams(), PARTITION, settings)


@pytest.mark.parametrize(
    ("preprocess", "message"),
    [
        ({"preprocessor_config": "https://example.org/x.json"}, "preprocessor_config: must be s3://bucket/… or file"),
        ({"preprocessor_config": "~/x.json"}, "preprocessor_config: ~, variables and {partition} are not expanded"),
        ({"preprocessor_config": ""}, "preprocessor_config: must not be empty"),
        ({"preprocessor_config": "x.json", "resize": {}}, "resize: unknown field"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_an_error_of_the_dataset_file(
    preprocess: dict[str, Any], message: str, settings: Settings, photos: Path
) -> None:
    with pytest.raises(DatasetError) as refused:
        dataset_file(settings, photos, VIT, preprocess=preprocess)
    assert f"preprocess.{message}" in str(refused.value)


def test_a_model_that_waits_for_a_file_needs_one(settings: Settings, photos: Path) -> None:
    model = {"name": "small", "uri": "small.onnx", "normalize": "preprocessor_config"}
    with pytest.raises(DatasetError, match=r"model: normalize: is required, as no file says"):
        dataset_file(settings, photos, VIT, model=model, preprocess=None)
