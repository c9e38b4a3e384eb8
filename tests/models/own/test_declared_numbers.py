"""The numbers of a model's file in a dataset file, at their bounds; and which forms `normalize` and `scale` take."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from imagefeatures.models.own.declared import (
    FROM_CONFIG,
    MOST,
    SUFFIXES,
    Normalization,
    OwnModel,
    ScaleField,
    check_values,
    format_of,
    scaled,
)
from imagefeatures.models.spec import VALUE_SCALES, ValueScale
from imagefeatures.preprocessing.bands import Channels

TWELVE = Channels(count=12)


def model(uri: str = "s3://b/birds.onnx", **fields: Any) -> OwnModel:
    return OwnModel.model_validate({"name": "birds", "uri": uri, "normalize": "tf"} | fields)


def test_a_longer_ending_comes_before_one_that_it_ends_in() -> None:
    assert list(SUFFIXES) == [".weights.h5", ".h5", ".hdf5", ".keras", ".onnx", ".tflite", ".xml", "/"]
    for uri, found in (
        ("a.WEIGHTS.H5", "weights.h5"), ("a.h5", "h5"), ("a.h5/", "savedmodel"), ("a.onnx.txt", None), ("", None),
    ):  # fmt: skip
        assert format_of(uri) == found


@pytest.mark.parametrize(
    ("given", "scale"),
    [
        ({}, ValueScale(mean=(0.0,), std=(1.0,))),
        ({"mean": 2, "std": 4.0, "scale": 2}, ValueScale(mean=(1.0,), std=(2.0,))),
        ({"mean": [1, 2, 3], "order": "bgr"}, ValueScale(mean=(1.0, 2.0, 3.0), std=(1.0,), order="bgr")),
        ({"std": [1] * 1000, "scale": 1000}, ValueScale(mean=(0.0,), std=(0.001,) * 1000)),
        ({"scale": 0.00392156863}, ValueScale(mean=(0.0,), std=(255.0,))),
        ({"mean": MOST}, ValueScale(mean=(MOST,), std=(1.0,))),
        ({"mean": -MOST}, ValueScale(mean=(-MOST,), std=(1.0,))),
        ({"std": MOST}, ValueScale(mean=(0.0,), std=(MOST,))),
        ({"std": 1 / MOST}, ValueScale(mean=(0.0,), std=(1e-30,))),
    ],
)
def test_numbers_become_a_scale(given: Any, scale: ValueScale) -> None:
    assert Normalization.model_validate(given).as_scale() == scale


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scale": 0}, "greater than 0"),
        ({"scale": 1000.1}, "less than or equal to 1000"),
        ({"mean": []}, "at least 1 item"),
        ({"std": []}, "at least 1 item"),
        ({"mean": [1] * 1001}, "at most 1000 items"),
        ({"std": [1] * 1001}, "at most 1000 items"),
        ({"std": 0}, "greater than 0"),
        ({"mean": float("nan")}, "finite number"),
        ({"order": "gbr"}, "'rgb' or 'bgr'"),
        ({"mean": 1.1e30}, r"mean / scale must be at most 1e\+30"),
        ({"mean": [0, -1.1e30]}, r"mean / scale must be at most 1e\+30"),
        ({"mean": 0.6e30, "scale": 0.5}, r"mean / scale must be at most 1e\+30"),
        ({"std": 1.1e30}, r"std / scale must be 1e-30 to 1e\+30"),
        ({"std": 0.9e-30}, r"std / scale must be 1e-30 to 1e\+30"),
        ({"std": 1.5e-30, "scale": 2}, r"std / scale must be 1e-30 to 1e\+30"),
        ({"std": 0.6e30, "scale": 0.5}, r"std / scale must be 1e-30 to 1e\+30"),
    ],
)
def test_numbers_that_float32_does_not_hold_are_refused(given: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Normalization.model_validate(given)


HALF = Normalization(mean=(0.5,), std=(0.5,))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, None), ("none", "none"), (2, 2.0), (0.001, 0.001), (MOST, MOST), ({"mean": 0.5, "std": 0.5}, HALF),
        (HALF, HALF),
    ],
)  # fmt: skip
def test_a_scale_is_none_a_number_or_a_mapping(given: Any, found: Any) -> None:
    assert TypeAdapter(ScaleField).validate_python(given) == found


@pytest.mark.parametrize("given", ["tf", "2", [2], FROM_CONFIG])
def test_another_form_of_scale_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError, match="must be none, a number, or a mapping of scale, mean and std"):
        TypeAdapter(ScaleField).validate_python(given)


@pytest.mark.parametrize("given", [0.0009, 1.1 * MOST, 0, -1])
def test_a_number_beyond_its_bounds_is_refused(given: float) -> None:
    with pytest.raises(ValidationError, match="than or equal to"):
        TypeAdapter(ScaleField).validate_python(given)


def test_the_scale_of_a_dataset_is_its_models_normalize() -> None:
    own = {"name": "birds"}
    assert scaled(own, None) is own
    assert scaled("vgg16", "none") == "vgg16"
    assert scaled(own, "none") == own | {"normalize": "none"}
    assert scaled(own, 4.0) == own | {"normalize": {"scale": 0.25}}
    assert scaled(own | {"normalize": None}, HALF) == own | {"normalize": HALF}
    with pytest.raises(ValueError, match=r"^normalize: scale is set too; remove one of them$"):
        scaled(own | {"normalize": "tf"}, "none")


def test_a_models_scale_is_of_its_normalize_or_its_architecture() -> None:
    assert model().value_scale == VALUE_SCALES["tf"]
    assert model(normalize=HALF).scale == model(normalize=HALF).value_scale == HALF.as_scale()
    assert model(normalize=FROM_CONFIG).scale == "none"
    assert model("a.h5", normalize=FROM_CONFIG, architecture="vgg16").scale == "caffe"
    assert model("a.h5", normalize=None, architecture="vgg16").scale == "caffe"
    assert model("a.h5", normalize="torch", architecture="vgg16").scale == "torch"


@pytest.mark.parametrize(("uri", "engines"), [("a.h5", 2), ("a.keras", 2), ("a.onnx", 1), ("a.xml", 1), ("a/", 1)])
def test_what_keras_reads_tensorflow_runs_too(uri: str, engines: int) -> None:
    assert model(uri).engines() == ("openvino", "tensorflow")[:engines]
    assert model("a.weights.h5", architecture="vgg16").engines() == ("openvino", "tensorflow")


@pytest.mark.parametrize(
    ("given", "architecture"),
    [
        ({"name": "vgg16", "uri": "a.h5", "normalize": None}, "vgg16"),
        ({"name": "vgg16", "uri": "a.weights.h5"}, "vgg16"),
        ({"name": "birds", "uri": "a.h5"}, None),
        ({"name": "birds", "uri": "a.h5", "architecture": "vgg16"}, "vgg16"),
    ],
)
def test_a_backbones_name_says_the_architecture_of_arrays(given: Any, architecture: str | None) -> None:
    assert model(**given).architecture == architecture


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"sha256": "0" * 63}, "must be 64 hexadecimal digits in lower case"),
        ({"sha256": "0" * 65}, "must be 64 hexadecimal digits in lower case"),
        ({"sha256": "A" * 64}, "must be 64 hexadecimal digits in lower case"),
        ({"cut": ""}, "at least 1 character"),
        ({"cut": "x" * 501}, "at most 500 characters"),
        ({"uri": ""}, "at least 1 character"),
        ({"size": [15, 16]}, "greater than or equal to 16"),
        ({"size": [16, 4097]}, "less than or equal to 4096"),
        ({"uri": "a.h5", "architecture": "vgg61"}, "must be one of mobilenet, "),
        ({"uri": "a.keras", "architecture": "vgg16"}, "architecture: a file of format keras says itself what it is"),
        ({"uri": "a.weights.h5"}, "architecture: is required, as a .weights.h5 holds arrays alone"),
        ({"uri": "a.h5", "name": "vgg16", "architecture": "resnet50"}, "name: vgg16 is a model of the service's own"),
        ({"normalize": None}, "normalize: is required, as no file says how its model was trained"),
        ({"uri": "a.keras", "layout": "nhwc"}, "layout: the input of a file of format keras is nhwc; leave it out"),
        *(({"uri": f"a{suffix.upper()}"}, "is a file that may run code") for suffix in (
            ".pth", ".pt", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".bin",
        )),
    ],
)  # fmt: skip
def test_fields_that_do_not_fit_are_refused(fields: Any, said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        model(**fields)
    assert said in str(raised.value)


def test_fields_at_their_bounds_are_taken() -> None:
    found = model(sha256="0123456789abcdef" * 4, cut="x" * 500, size=[16, 4096], layout="nchw")
    assert (found.size, found.layout) == ((16, 4096), "nchw")
    assert model("a.xml", layout="nhwc").layout == "nhwc"
    plain = model()
    assert [plain.sha256, plain.architecture, plain.cut, plain.pooling, plain.size, plain.layout] == [None] * 6


@pytest.mark.parametrize(
    ("given", "channels", "scale"),
    [
        ("vgg16", None, None),
        ("vgg16", TWELVE, None),
        (model(normalize={"mean": 1}), TWELVE, None),
        (model(normalize={"mean": [1] * 12, "std": [1] * 12}), TWELVE, None),
        (model(normalize={"mean": [1] * 3, "std": 1}), None, None),
        (model(), TWELVE, "none"),
    ],
)
def test_a_model_takes_the_values_of_the_pictures(given: Any, channels: Any, scale: Any) -> None:
    check_values(given, channels, scale)


@pytest.mark.parametrize(
    ("given", "channels", "scale", "place", "said"),
    [
        ("vgg16", None, "none", ("scale",), "is for a model from a file, and vgg16 has its own; remove it"),
        ("vgg16", Channels(count=3, dtype="uint16"), None, ("channels",), "are of uint16, and vgg16 takes values of 0"),
        (model(normalize={"mean": [1] * 3}), TWELVE, None, ("model", "normalize", "mean"), "must be one number, or one "
         "for each of 12 bands"),
        (model(normalize={"std": [1] * 12}), None, None, ("model", "normalize", "std"), "must be one number, or three"),
        (model(normalize={"mean": [1, 2]}), None, None, ("model", "normalize", "mean"), "must be one number, or three"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_take_them_is_refused_by_the_field(
    given: Any, channels: Any, scale: Any, place: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        check_values(given, channels, scale)
    (error,) = raised.value.errors()
    assert error["loc"] == place
    assert said in error["msg"]
