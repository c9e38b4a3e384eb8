"""What follows from the shapes of a model's file and from the dataset file: layout, sides, pooling, width, scale."""

from __future__ import annotations

from typing import Any

import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.models.own.describe import (
    MOST_WIDTH,
    Candidate,
    Described,
    Input,
    check_cut,
    check_normalize,
    check_one_image,
    check_scale,
    cut_of,
    input_shape,
    layout_of,
    shown,
    takes_whole_numbers,
    width_of,
)
from imagefeatures.models.spec import ValueScale

Shape = list[int | None]


def model(uri: str = "s3://b/birds.onnx", **fields: Any) -> OwnModel:
    given = {"name": "birds", "uri": uri, "sha256": "0" * 64, "normalize": "tf"}
    return OwnModel.model_validate(given | fields)


KERAS = model("s3://b/birds.keras")
ONNX = model()


def given(shape: Shape, type: str = "f32") -> Input:
    return Input(name="x", shape=shape, type=type)


@pytest.mark.parametrize(
    ("shape", "own", "channels", "layout"),
    [
        ([None, 40, 32, 3], ONNX, 3, "nhwc"),
        ([None, 3, 40, 32], ONNX, 3, "nchw"),
        ([None, None, None, None], model(layout="nchw"), 3, "nchw"),
        ([None, 3, 40, 3], model(layout="nchw"), 3, "nchw"),
        ([None, 3, 40, 3], model(layout="nhwc"), 3, "nhwc"),
        ([None, 3, None, None], ONNX, 3, "nchw"),  # what is said counts more than what is open
        ([None, None, None, 3], ONNX, 3, "nhwc"),
        ([None, 40, 32, None], ONNX, 3, "nhwc"),
        ([None, None, 32, 40], ONNX, 3, "nchw"),
        ([None, 12, 40, 12], KERAS, 12, "nhwc"),
        ([None, 12, 40, 32], ONNX, 12, "nchw"),
    ],
)
def test_the_layout_is_where_the_channels_are(shape: Shape, own: OwnModel, channels: int, layout: str) -> None:
    assert layout_of(own, given(shape), channels) == layout


@pytest.mark.parametrize(
    ("shape", "own", "channels", "said"),
    [
        ([None, 40, 3], ONNX, 3, "its input has the shape [?, 40, 3], and an image has four sides with their number"),
        ([1, 2, 3, 4, 5], ONNX, 3, "its input has the shape [1, 2, 3, 4, 5], and an image has four sides with thei"),
        ([None, 3, 40, 3], ONNX, 3, "layout: its input has the shape [?, 3, 40, 3]; say layout: nhwc or layout: nchw"),
        ([None] * 4, ONNX, 3, "layout: its input has the shape [?, ?, ?, ?]; say layout: nhwc or layout: nchw"),
        ([None, 40, 32, 3], model(layout="nchw"), 3, "layout: its input has the shape [?, 40, 32, 3], in which nchw"),
        (
            [None, 12, 40, 2000],
            ONNX,
            3,
            "its input has the shape [?, 12, 40, 2000]: there is no axis of 3 channels; channels: says how many the "
            "pictures have, here 12",
        ),
        (
            [None, 1000, 40, 12],
            ONNX,
            3,
            "there is no axis of 3 channels; channels: says how many the pictures have, here 12 or 1000",
        ),
        (
            [None, 12, 40, 9],
            KERAS,
            12,
            "there is no axis of 12 channels; channels: says how many the pictures have, here 9",
        ),
        (
            [None, 3, 40, 4],
            KERAS,
            3,
            "there is no axis of 3 channels; channels: says how many the pictures have, here 4",
        ),
        ([None, 1001, 40, 1001], ONNX, 3, "there is no axis of 3 channels"),
    ],
)
def test_an_input_without_one_layout_is_refused(shape: Shape, own: OwnModel, channels: int, said: str) -> None:
    with pytest.raises(ModelMismatch) as raised:
        layout_of(own, given(shape), channels)
    assert said in str(raised.value)
    assert not said.endswith("3 channels") or str(raised.value).endswith(said)


def test_types_of_whole_numbers_are_told_from_floats() -> None:
    assert [takes_whole_numbers(given([], type)) for type in ("u8", "int8", "f32", "float32", "bf16")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_an_input_of_whole_numbers_holds_pixels_of_eight_bits_as_they_are() -> None:
    whole = ValueScale(mean=(0.0,), std=(1.0,))
    for type, scale, dtype in (
        ("u8", "none", "uint8"),
        ("u8", whole, "uint8"),
        ("i32", "none", "uint8"),
        ("uint16", "none", "uint8"),
        ("int64", "none", "uint8"),
        ("f32", "tf", "uint16"),
        ("bf16", ValueScale(mean=(1.0,), std=(2.0,)), "float32"),
    ):
        check_scale(given([], type), scale, dtype)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("type", "scale", "dtype", "said"),
    [
        (
            "u8",
            "none",
            "uint16",
            "its input is of u8, and the pictures are of uint16 (channels); export it with an input",
        ),
        ("i8", "none", "uint8", "its input is of int8, which cannot hold pixel values of 0 to 255; export it with"),
        ("int8", "none", "uint8", "its input is of int8, which cannot hold pixel values of 0 to 255; export it with"),
        ("boolean", "none", "uint8", "its input is of boolean, which cannot hold pixel values of 0 to 255; export it"),
        ("bool", "none", "uint8", "its input is of bool, which cannot hold pixel values of 0 to 255; export it"),
        ("u4", "none", "uint8", "its input is of u4, which cannot hold pixel values"),
        (
            "u8",
            "tf",
            "uint8",
            "normalize: its input is of u8, which cannot hold scaled values; say normalize: none, or",
        ),
        ("u8", ValueScale(mean=(0.0, 0.0, 1.0), std=(1.0,)), "uint8", "normalize: its input is of u8, which cannot"),
        ("u8", ValueScale(mean=(0.0,), std=(2.0,)), "uint8", "normalize: its input is of u8, which cannot hold scaled"),
    ],
)
def test_an_input_that_cannot_hold_the_values_is_refused(type: str, scale: Any, dtype: Any, said: str) -> None:
    with pytest.raises(ModelMismatch) as raised:
        check_scale(given([], type), scale, dtype)
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    ("scale", "channels", "of"),
    [
        ("tf", 1, None),
        ("none", 12, None),
        ("torch", 3, None),
        ("caffe", 3, None),
        ("torch", 12, 3),
        ("caffe", 1, 3),
        (ValueScale(mean=(0.0,), std=(1.0,) * 12), 12, None),
        (ValueScale(mean=(0.0,) * 12, std=(1.0,)), 11, 12),
        (ValueScale(mean=(0.0,), std=(1.0, 2.0)), 3, 3),
        (ValueScale(mean=(0.0,), std=(1.0,), order="bgr"), 4, 3),
    ],
)
def test_a_scale_is_of_the_channels_of_the_input(scale: Any, channels: int, of: int | None) -> None:
    if of is None:
        return check_normalize(scale, channels)
    with pytest.raises(ModelMismatch, match=f"^normalize: is of {of} channels, and its input has {channels}; say none"):
        check_normalize(scale, channels)


@pytest.mark.parametrize(
    ("shape", "layout", "size", "found"),
    [
        ([None, 40, 32, 3], "nhwc", None, (40, 32, 3)),
        ([None, 3, 40, 32], "nchw", None, (40, 32, 3)),
        ([None, None, 32, 3], "nhwc", (40, 32), (40, 32, 3)),
        ([None, 3, None, None], "nchw", (40, 32), (40, 32, 3)),
    ],
)
def test_the_sides_are_the_files_or_the_declared_ones(shape: Shape, layout: str, size: Any, found: Any) -> None:
    assert input_shape(model(size=size), given(shape), layout) == found
    assert input_shape(model(size=size), given(shape), layout, 12) == (*found[:2], 12)


@pytest.mark.parametrize(
    ("shape", "size", "said"),
    [
        ([None, 40, 32, 3], (41, 32), "size: says a height of 41, and the file takes 40; leave size out"),
        ([None, 40, 32, 3], (40, 33), "size: says a width of 33, and the file takes 32; leave size out"),
        ([None, 4097, 32, 3], None, "its input has a height of 4097 pixels; 1 to 4096 are taken"),
        ([None, 40, 100_000, 3], None, "its input has a width of 100000 pixels; 1 to 4096 are taken"),
        ([None, 0, 32, 3], None, "its input has a height of 0 pixels; 1 to 4096 are taken"),
        ([None, None, 32, 3], None, "size: is required, as the file leaves it open (its input is [?, ?, 32, 3]); such"),
    ],
)
def test_sides_that_differ_are_open_or_too_long_are_refused(shape: Shape, size: Any, said: str) -> None:
    with pytest.raises(ModelMismatch) as raised:
        input_shape(model(size=size), given(shape), "nhwc")
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    ("shape", "pooling", "axes", "found"),
    [
        ([1, 9], None, [], ("none", 9)),
        ([1, 1, 1, 9], None, [], ("none", 9)),
        ([1, 2], None, [], ("none", 2)),
        ([1, MOST_WIDTH], None, [], ("none", MOST_WIDTH)),
        ([1, 7, 5, 9], None, [1, 2], ("avg", 9)),
        ([1, 9, 7, 5], "max", [2, 3], ("max", 9)),
        ([1, 7, 9], "avg", [1], ("avg", 9)),
        ([1, 7, 5, 9], "flatten", [1, 2], ("flatten", 315)),
        ([1, 9], "none", [], ("none", 9)),
    ],
)
def test_the_cuts_output_becomes_a_vector(shape: list[int], pooling: Any, axes: list[int], found: Any) -> None:
    assert width_of(shape, model(pooling=pooling), axes) == found


@pytest.mark.parametrize(
    ("shape", "pooling", "axes", "said"),
    [
        ([1, 7, 9], "none", [], "pooling: the cut gives [1, 7, 9] for an image, no vector; say avg, max or flatten"),
        ([1, 2, 2], "none", [], "pooling: the cut gives [1, 2, 2] for an image, no vector; say avg, max or flatten"),
        ([1, 9], "avg", [], "pooling: the cut gives [1, 9] for an image, which has no sides to pool"),
        ([1, 2, 3, 4, 5], None, [], "pooling: the cut gives [1, 2, 3, 4, 5] for an image, which has no sides to pool"),
        ([1, 7, 9], None, [1], "pooling: is required where the cut gives [1, 7, 9]: avg, max or flatten"),
        ([1, 1], None, [], "cut: gives a vector of 1 values; 2 to 65536 are taken"),
        ([1, MOST_WIDTH + 1], None, [], "cut: gives a vector of 65537 values; 2 to 65536 are taken"),
    ],
)
def test_an_output_that_is_no_vector_is_refused(shape: list[int], pooling: Any, axes: list[int], said: str) -> None:
    with pytest.raises(ModelMismatch) as raised:
        width_of(shape, model(pooling=pooling), axes)
    assert str(raised.value) == said


def test_the_cut_is_the_declared_one_or_the_models_own_output() -> None:
    candidates = [Candidate(name="/pool", shape=[None, 9])]
    own = Described(input=given([]), candidates=candidates, output="/pool")
    assert cut_of(ONNX, own) == "/pool"
    assert cut_of(model(cut="/head"), own) == "/head"
    with pytest.raises(ModelMismatch, match=r"^cut: is required, as the model's own output is no vector or picture"):
        cut_of(ONNX, own.model_copy(update={"output": ""}))


def test_an_output_begins_with_the_number_of_images() -> None:
    check_one_image("/pool", [1, 9])
    with pytest.raises(ModelMismatch, match=r"^cut: /pool gives \[2, 1\] for one image, where the first must be 1; "):
        check_one_image("/pool", [2, 1])


@pytest.mark.parametrize(
    ("known", "hint"),
    [
        (["/pool_1", "/head"], " (did you mean /pool_1?)"),
        ([f"x{at}" for at in range(12)], " (known: "),
        ([f"x{at}" for at in range(13)], ""),
        (["/pool_1", *(f"x{at}" for at in range(20))], " (did you mean /pool_1?)"),
    ],
)
def test_a_cut_that_is_not_there_names_the_one_that_was_probably_meant(known: list[str], hint: str) -> None:
    check_cut(known[0], known)
    with pytest.raises(ModelMismatch) as raised:
        check_cut("/pool_2", known)
    assert str(raised.value).startswith(f"cut: there is no '/pool_2'{hint}")
    assert hint or str(raised.value).startswith("cut: there is no '/pool_2'; imagefeatures model inspect")
    assert shown([None, 7]) == "[?, 7]"
