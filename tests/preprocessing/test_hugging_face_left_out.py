"""A `preprocessor_config.json` that leaves things out: what its processor does then, and which keys change no pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.preprocessing import hugging_face
from imagefeatures.preprocessing.geometry import CenterCrop, Resize
from imagefeatures.preprocessing.hugging_face import MAPPED, MOST_BYTES, OF_NO_PIXEL, mapping
from support.photos import fill
from support.processor_configs import HALF, RESNET, VIT

FAMILIES: dict[str, tuple[bool, bool, str]] = {
    "CLIP": (False, True, "bicubic"),
    "ViT": (True, False, "bilinear"),
    "DeiT": (True, True, "bicubic"),
    "Bit": (False, True, "bicubic"),
    "MobileNetV1": (False, True, "bilinear"),
    "MobileNetV2": (False, True, "bilinear"),
    "Siglip": (True, False, "bicubic"),
    "Blip": (True, False, "bicubic"),
    "Beit": (True, True, "bicubic"),
    "ChineseCLIP": (False, True, "bicubic"),
    "Pvt": (True, False, "bilinear"),
    "ViTHybrid": (False, True, "bicubic"),
    "EfficientFormer": (True, True, "bicubic"),
    "OwlViT": (True, False, "bicubic"),
}
"""Whether a size of one number is a square, whether the middle is cut out, and the filter."""

MIDDLE = CenterCrop(size=(200, 200), rounding="down")


def chain_of(**config: Any) -> tuple[Any, ...]:
    return mapping(HALF | {"size": 224, "crop_size": 200} | config).chain


@pytest.mark.parametrize("ending", ["ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_processor_does_what_its_family_does_where_the_file_says_nothing(name: str, ending: str) -> None:
    square, crops, interpolation = FAMILIES[name]
    size: dict[str, Any] = {"size": (224, 224)} if square else {"shortest_edge": 224}
    resize = Resize(interpolation=interpolation, **size)  # type: ignore[arg-type]
    expected = (resize, MIDDLE) if crops else (resize,)
    for key in ("image_processor_type", "feature_extractor_type"):
        assert chain_of(**{key: f"{name}{ending}"}) == expected
    both = {"image_processor_type": f"{name}{ending}", "feature_extractor_type": "OtherFeatureExtractor"}
    assert chain_of(**both) == expected


CONVNEXT = {"image_processor_type": "ConvNextImageProcessor"}


@pytest.mark.parametrize(
    ("config", "chain"),
    [
        (CONVNEXT, (256, 224)),
        (CONVNEXT | {"size": 383}, (437, 383)),
        (CONVNEXT | {"crop_pct": 1}, (224, 224)),
        (CONVNEXT | {"crop_pct": 0.5}, (448, 224)),
        (CONVNEXT | {"crop_pct": 224 / 4096}, (4096, 224)),
        ({"crop_pct": 0.5, "default_to_square": False, "resample": 2}, (448, 224)),  # no name, but its key
    ],
)
def test_convnext_cuts_a_share_out_of_small_pictures(config: dict[str, Any], chain: tuple[int, int]) -> None:
    edge, middle = chain
    resize = Resize(shortest_edge=edge, interpolation="bilinear")
    assert chain_of(**config) == (resize, CenterCrop(size=(middle, middle), rounding="down"))


def test_convnext_stretches_large_pictures_and_those_of_given_sides() -> None:
    for size in (384, 385):
        assert chain_of(**CONVNEXT, size=size) == (Resize(size=(size, size), interpolation="bilinear"),)
    sides = chain_of(**CONVNEXT, size={"height": 9, "width": 8})
    assert sides == (Resize(size=(9, 8), interpolation="bilinear"),)


@pytest.mark.parametrize("crop_pct", [1.001, 223.9 / 4096])
def test_a_share_beyond_its_bounds_is_refused(crop_pct: float) -> None:
    with pytest.raises(ValueError, match=r"^crop_pct: must be at most 1, and not so small that 224 / crop_pct"):
        chain_of(**CONVNEXT, crop_pct=crop_pct)
    with pytest.raises(ValueError, match=r"^crop_pct: is ConvNeXT's, and this is another processor$"):
        chain_of(**CONVNEXT, crop_pct=0.5, do_center_crop=True)


def test_each_filter_has_pillows_number() -> None:
    names = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
    for number, name in enumerate(names):
        (resize,) = mapping(VIT | {"resample": number}).chain
        assert resize.interpolation == name
    for wrong in (-1, 6, True, None):
        if wrong is None:
            (resize,) = mapping({key: value for key, value in VIT.items() if key != "resample"}).chain
            assert resize.interpolation == "bilinear"
            continue
        with pytest.raises(ValueError, match=r"^resample: must be one of Pillow's numbers, 0, 1, 2, 3, 4, 5$"):
            mapping(VIT | {"resample": wrong})


@pytest.mark.parametrize(
    ("size", "sides"),
    [(1, (1, 1)), (4096, (4096, 4096)), ([7, 9], (7, 9)), ({"height": 7, "width": 9}, (7, 9))],
)
def test_a_size_in_each_of_its_forms(size: Any, sides: tuple[int, int]) -> None:
    (resize,) = mapping(VIT | {"size": size}).chain
    assert resize.size == sides
    (_, middle) = chain_of(image_processor_type="CLIPImageProcessor", crop_size=size)
    assert (middle.size, middle.rounding) == (sides, "down")


@pytest.mark.parametrize("size", [0, 4097, [7], [7, 8, 9], {"height": 7}, {"shortest_edge": 0}, "224", None, 7.0])
def test_a_size_in_another_form_is_refused(size: Any) -> None:
    with pytest.raises(ValueError, match=r"^size: "):
        mapping(VIT | {"size": size})
    with pytest.raises(ValueError, match=r"^crop_size: "):
        chain_of(image_processor_type="CLIPImageProcessor", crop_size=size)


def test_the_shorter_edge_is_said_by_its_name() -> None:
    (resize,) = mapping(VIT | {"size": {"shortest_edge": 4096}}).chain
    assert (resize.shortest_edge, resize.size) == (4096, None)


def test_keys_that_are_known_are_these() -> None:
    assert {
        "processor_class", "auto_map", "return_tensors", "data_format", "input_data_format", "device", "num_channels",
        "model_input_names", "transformers_version", "disable_grouping", "image_seq_length", "backend",
    } == OF_NO_PIXEL  # fmt: skip
    assert {
        "do_resize", "size", "resample", "do_center_crop", "crop_size", "do_convert_rgb", "do_pad", "do_rescale",
        "rescale_factor", "do_normalize", "image_mean", "image_std", "crop_pct", "default_to_square",
        "image_processor_type", "feature_extractor_type",
    } == MAPPED  # fmt: skip
    found = mapping(VIT | dict.fromkeys([*OF_NO_PIXEL, "_any"], 7) | {"do_convert_rgb": True})
    assert found == mapping(VIT)


def test_values_are_scaled_by_what_is_said_and_else_by_255() -> None:
    scales = {key: value for key, value in VIT.items() if key != "rescale_factor"}
    assert mapping(scales | {"rescale_factor": None}).normalize.scale == pytest.approx(1 / 255)
    assert mapping(scales | {"rescale_factor": 2}).normalize.scale == 2.0
    assert mapping(scales | {"do_rescale": False, "rescale_factor": 2}).normalize.scale == 1.0
    one = mapping(scales | {"image_mean": [0.25], "image_std": [0.5]}).normalize
    assert (one.mean, one.std) == ((0.25,), (0.5,))
    for wrong in (True, "1", 1e30, -1e30):
        with pytest.raises(ValueError, match=r"^rescale_factor: must be a number$"):
            mapping(scales | {"rescale_factor": wrong})
    with pytest.raises(ValueError, match=r"^image_std: must be one number, or three$"):
        mapping(scales | {"image_std": [1, 1, 1, 1]})


# The file of a dataset


def dataset_of(folder: Path, content: bytes, **fields: Any) -> Dataset:
    fill(folder, {"preprocessor_config.json": content})
    uri = f"file://{folder}/preprocessor_config.json"
    given = {"name": "d", "source": "s3://b/", "preprocess": {"preprocessor_config": uri}} | fields
    return Dataset.model_validate(given)


def file_of(config: dict[str, Any]) -> bytes:
    import json

    return json.dumps(config).encode()


OWN = {"name": "birds", "uri": "s3://b/birds.onnx", "sha256": "0" * 64}


def test_a_model_that_leaves_its_scale_open_gets_the_files(tmp_path: Path) -> None:
    found = hugging_face.settled(dataset_of(tmp_path, file_of(VIT), model=OWN))
    assert found.preprocess == mapping(VIT).chain
    assert isinstance(found.model, OwnModel)
    assert found.model.normalize == mapping(VIT).normalize
    both = hugging_face.settled(dataset_of(tmp_path, file_of(VIT), models=[OWN, "mobilenet_v2"]))
    assert both.models is not None
    assert [getattr(model, "name", model) for model in both.models] == ["birds", "mobilenet_v2"]
    plain = Dataset(name="d", source="s3://b/")
    assert hugging_face.settled(plain) is plain


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"scales values by .*, and mobilenet_v2 takes .*: it is of another model$"):
        hugging_face.settled(dataset_of(tmp_path, file_of(RESNET), model="mobilenet_v2"))
    with pytest.raises(ParamsError, match=r", and birds takes .*: it is of another model$"):
        hugging_face.settled(dataset_of(tmp_path, file_of(RESNET), model=OWN | {"normalize": "tf"}))


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    just, more = b" " * (MOST_BYTES - 2) + b"[]", b" " * (MOST_BYTES - 1) + b"[]"
    head = f"preprocess: file://{tmp_path}/preprocessor_config.json"
    for content, said in ((just, "is no JSON object"), (more, "has more than 65,536 bytes"), (b"{", "is no JSON")):
        with pytest.raises(ParamsError) as raised:
            hugging_face.settled(dataset_of(tmp_path, content))
        assert str(raised.value).startswith(f"{head}: {said}")
    dataset = dataset_of(tmp_path, b"")
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(ParamsError, match=r": there is no such file$"):
        hugging_face.settled(dataset)
