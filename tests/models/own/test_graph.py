"""Models that OpenVINO reads: where they can be cut, and that the numbers are those of an independent computation."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import reference
from imagefeatures.models.engines.openvino import OpenVino
from imagefeatures.models.own import child
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.models.own.describe import Facts, Input, check_scale, layout_of, shown
from imagefeatures.models.own.graph import Graph, spatial_axes
from imagefeatures.models.own.resolve import spec_of
from imagefeatures.models.spec import ValueScale
from support import model_files
from support.model_files import HEIGHT, WIDTH


def declared(**fields: object) -> OwnModel:
    return OwnModel.model_validate({"name": "small", "uri": "file:///models/small.onnx", "normalize": "caffe"} | fields)


def graph(folder: Path, data: bytes) -> Graph:
    (folder / "model.onnx").write_bytes(data)
    return Graph(folder / "model.onnx", "onnx")


def facts(folder: Path, data: bytes, **fields: object) -> Facts:
    (folder / child.FILES).mkdir(exist_ok=True)
    (folder / child.FILES / "model.onnx").write_bytes(data)
    found = child.answer(child.Request(format="onnx", main="model.onnx", model=declared(**fields)), folder).facts
    assert found
    return found


def test_a_file_is_described_by_its_input_and_the_nodes_that_give_something(tmp_path: Path) -> None:
    described = graph(tmp_path, model_files.onnx()).describe()
    assert (described.input.name, described.input.type) == ("image", "f32")
    assert described.input.shape == [None, 3, HEIGHT, WIDTH]
    shapes = {candidate.name: candidate.shape for candidate in described.candidates}
    assert shapes == {
        "/conv": [None, 6, 20, 16], "/relu": [None, 6, 20, 16], "/pool": [None, 6], "/head:0": [None, 3],
    }  # fmt: skip
    assert described.output == "/head:0"


@pytest.mark.parametrize("sides", [(None, 3, HEIGHT, WIDTH), (1, HEIGHT, WIDTH, 3), (None, None, None, 3)])
@pytest.mark.parametrize(("cut", "pooling"), [("/pool", None), ("/pool:0", "flatten"), ("/relu", "avg")])
def test_the_vectors_are_those_of_an_independent_computation(
    tmp_path: Path, sides: tuple[int | None, ...], cut: str, pooling: str | None
) -> None:
    data = model_files.onnx(sides)
    size = (HEIGHT, WIDTH) if None in sides[2:] else None
    found = facts(tmp_path, data, cut=cut, pooling=pooling, size=size)
    assert (found.width, found.input_shape, found.cut) == (6, (HEIGHT, WIDTH, 3), cut)
    assert found.layout == ("nchw" if sides[1] == 3 else "nhwc")
    assert found.pooling == (pooling or "none")
    spec = spec_of(declared(cut=cut, pooling=pooling), "0" * 64, found)
    files, golden = graph(tmp_path, data).build(spec)
    pixels = reference.golden_pixels(spec.input_shape)
    bgr = pixels[..., ::-1].astype(np.float32) - np.float32([103.939, 116.779, 123.68])
    expected = model_files.features(bgr, model_files.weights()["kernel"])
    reference.check_parity("the reference", golden, expected)
    vectors = OpenVino(files["model.xml"], files["model.bin"]).features(pixels)
    reference.check_parity("the engine", vectors, expected)
    assert np.ptp(expected, axis=0).min() > 1  # else any vectors would do


def test_the_largest_value_of_each_channel_and_all_values_are_poolings_too(tmp_path: Path) -> None:
    data = model_files.onnx()
    most = facts(tmp_path, data, cut="/relu", pooling="max")
    whole = facts(tmp_path, data, cut="/relu", pooling="flatten")
    assert (most.width, whole.width) == (6, 6 * 20 * 16)
    asked = {"most": most, "whole": whole}
    built = {name: graph(tmp_path, data).build(spec_of(declared(), "0" * 64, found)) for name, found in asked.items()}
    all_values = built["whole"][1].reshape(4, 6, 20 * 16)
    assert np.allclose(built["most"][1], all_values.max(2), rtol=1e-6)
    for files, golden in built.values():
        vectors = OpenVino(files["model.xml"], files["model.bin"]).features(reference.golden_pixels((HEIGHT, WIDTH, 3)))
        reference.check_parity("the engine", vectors, golden)


@pytest.mark.parametrize(
    ("sides", "fields", "line"),
    [
        ((None, 3, HEIGHT, WIDTH), {"cut": "/pol"}, r"^cut: there is no '/pol' \(did you mean /pool\?\); "),
        ((None, 3, HEIGHT, WIDTH), {"cut": "x"}, r"^cut: there is no 'x' \(known: /conv, .*\); "),
        ((None, 3, HEIGHT, WIDTH), {"cut": "/relu", "pooling": "none"}, r"^pooling: the cut gives \[1, 6, 20, 16\] "),
        ((None, 3, HEIGHT, WIDTH), {"cut": "/pool", "pooling": "avg"}, r"^pooling: the cut gives \[1, 6\] .* no sides"),
        ((None, 3, HEIGHT, WIDTH), {"size": [64, 64]}, r"^size: says a height of 64, and the file takes 40; "),
        ((None, 3, None, None), {}, r"^size: is required, .*\[\?, 3, \?, \?\]"),
        ((None, 3, HEIGHT, WIDTH), {"layout": "nhwc"}, r"^layout: its input has the shape \[\?, 3, 40, 32\], in which"),
        ((None, 3, HEIGHT, 3), {}, r"^layout: its input has the shape .*; say layout: nhwc or layout: nchw$"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_field_and_the_shape(
    tmp_path: Path, sides: tuple[int | None, ...], fields: dict[str, object], line: str
) -> None:
    with pytest.raises(ModelMismatch, match=line):
        facts(tmp_path, model_files.onnx(sides), **fields)


@pytest.mark.parametrize("shape", [[None, 1, 40, 32], [3, 40, 32], [None, 40, 32, 4], [], [None, 5]])
def test_an_input_that_is_no_picture_in_colour_is_refused_with_its_shape(shape: list[int | None]) -> None:
    with pytest.raises(ModelMismatch, match=r"^its input has the shape " + re.escape(shown(shape))):
        layout_of(declared(), Input(name="x", shape=shape, type="f32"))


def test_the_last_node_is_known_by_its_own_name_too(tmp_path: Path) -> None:
    assert facts(tmp_path, model_files.onnx(), cut="/head").width == 3


@pytest.mark.parametrize("count", [None, 1])
def test_no_earlier_node_stands_for_an_own_output_that_is_no_vector(tmp_path: Path, count: int | None) -> None:
    """Squeeze takes the number of images away too: of one image it gives [3], of an open number nobody knows what."""
    data = model_files.onnx((count, 3, HEIGHT, WIDTH), end="Squeeze")
    described = graph(tmp_path, data).describe()
    assert described.output == ""
    assert described.candidates[-1].name == "/head"
    with pytest.raises(ModelMismatch, match=r"^cut: is required, as the model's own output is no vector .* the names$"):
        facts(tmp_path, data)
    assert facts(tmp_path, data, cut="/head").width == 3


@pytest.mark.parametrize("type", ["u8", "uint8", "i32"])
def test_scaled_values_do_not_fit_an_input_of_whole_numbers(type: str) -> None:
    given = Input(name="x", shape=[None, 40, 32, 3], type=type)
    check_scale(given, "none")
    check_scale(given, ValueScale(mean=(0,), std=(1,), order="bgr"))
    for scale in ("tf", "torch", "caffe", ValueScale(mean=(0,), std=(255,))):
        with pytest.raises(ModelMismatch, match=rf"^normalize: its input is of {type}, which cannot hold scaled"):
            check_scale(given, scale)
        check_scale(given.model_copy(update={"type": "f32"}), scale)
    with pytest.raises(ModelMismatch, match=r"^its input is of int8, which cannot hold pixel values of 0 to 255; "):
        check_scale(given.model_copy(update={"type": "i8"}), "none")


def test_a_model_of_whole_numbers_is_refused_before_it_is_cut(tmp_path: Path) -> None:
    data = model_files.onnx(type=model_files.UINT8)
    with pytest.raises(ModelMismatch, match=r"^normalize: its input is of u8, "):
        facts(tmp_path, data, cut="/pool")
    assert facts(tmp_path, data, cut="/pool", normalize="none").width == 6


def test_weights_that_are_not_numbers_are_refused_by_name(tmp_path: Path) -> None:
    arrays = model_files.weights()
    arrays["kernel"][2, 1, 0, 0] = np.nan
    with pytest.raises(ModelMismatch, match=r"^its weights kernel hold values that are not numbers \(NaN\)$"):
        facts(tmp_path, model_files.onnx(arrays=arrays), cut="/pool")
    assert facts(tmp_path, model_files.onnx(), cut="/pool").width == 6


@pytest.mark.parametrize(
    ("shape", "layout", "axes"),
    [
        ((1, 20, 16, 6), "nchw", (1, 2)),
        ((1, 6, 20, 16), "nhwc", (2, 3)),
        ((1, 7, 7, 7), "nhwc", (1, 2)),
        ((1, 7, 7, 7), "nchw", (2, 3)),
        ((1, 19, 20, 16), "nhwc", (2, 3)),
        ((1, 21, 16, 12), "nchw", (1, 2)),
        ((1, 50, 192), "nhwc", (1,)),
    ],
)
def test_the_sides_are_told_from_the_channels_by_the_ratio_of_the_image(
    shape: tuple[int, ...], layout: str, axes: tuple[int, ...]
) -> None:
    assert spatial_axes(shape, (HEIGHT, WIDTH, 3), layout) == axes


@pytest.mark.parametrize(
    ("format", "shape", "channels", "layout"),
    [
        ("keras", [None, 28, 28, 1], 1, "nhwc"),
        ("onnx", [None, 1, 28, 28], 1, "nchw"),
        ("onnx", [None, 12, 40, 32], 12, "nchw"),
        ("onnx", [None, 40, 32, 12], 12, "nhwc"),
        ("keras", [None, 12, 12, 12], 12, "nhwc"),
        ("keras", [None, 28, 28, 1], 28, r"there is no axis of 28 channels; channels: says .* have, here 1$"),
        ("keras", [None, 28, 28, 1], 3, r"there is no axis of 3 channels; channels: says .* have, here 1$"),
        ("onnx", [None, 12, 40, 32], 3, r"there is no axis of 3 channels; channels: says how many .*, here 12 or 32$"),
        ("onnx", [None, 12, 40, 12], 12, r"; say layout: nhwc or layout: nchw$"),
    ],
)
def test_many_channels_are_where_the_shape_has_them(
    format: str, shape: list[int | None], channels: int, layout: str
) -> None:
    """In a file of Keras they are always the last: a side may have as many pixels."""
    model = declared().model_copy(update={"uri": f"file:///m.{format}"})
    given = Input(name="x", shape=shape, type="f32")
    if layout in ("nhwc", "nchw"):
        assert layout_of(model, given, channels) == layout
    else:
        with pytest.raises(ModelMismatch, match=layout):
            layout_of(model, given, channels)


def test_an_input_of_whole_numbers_takes_bands_of_eight_bits_alone() -> None:
    given = Input(name="x", shape=[None, 40, 32, 4], type="u8")
    check_scale(given, "none", "uint8")
    for dtype in ("uint16", "float32"):
        with pytest.raises(ModelMismatch, match=rf"^its input is of u8, and the pictures are of {dtype} "):
            check_scale(given, "none", dtype)
