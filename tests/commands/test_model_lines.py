"""`imagefeatures model inspect`: each line, for inputs and cuts of many shapes."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import yaml

from imagefeatures.commands.model import SHOWN, _channels, _layout, _lines, _name, _quoted, _uri, _yaml, suggested
from imagefeatures.commands.printing import say
from imagefeatures.models.own.describe import Candidate, Described, Input
from imagefeatures.models.own.files import ModelFiles
from imagefeatures.models.spec import Format
from imagefeatures.preprocessing.bands import MOST_BANDS

Shape = list[int | None]
NHWC: Shape = [None, 40, 32, 3]
NCHW: Shape = [None, 3, 40, 32]
VECTOR: Shape = [None, 9]


def files(format: Format = "onnx", name: str = "birds.onnx") -> ModelFiles:
    return ModelFiles(f"file:///m/{name}", format, {"model": b"x" * 2_500_000})


def described(shape: Shape = NHWC, *cuts: Shape, type: str = "f32", output: str | None = None) -> Described:
    candidates = [Candidate(name=f"cut{at}", shape=cut) for at, cut in enumerate(cuts or (VECTOR,))]
    last = candidates[-1].name if output is None else output
    return Described(input=Input(name="x", shape=shape, type=type), candidates=candidates, output=last)


def test_a_model_is_listed_from_its_input_to_its_output() -> None:
    read = files()
    found = described(NCHW, [None, 4, 5, 6], VECTOR, [None, 3])
    lines = list(_lines(read, found, argparse.Namespace(all=False, architecture=None)))
    assert lines[:7] == [
        f"file:///m/birds.onnx: onnx, 2.5 MB, SHA-256 {read.sha256}",
        "Input: x, f32 [?, 3, 40, 32] (nchw)",
        "Where it can be cut, from the input to the output (3):",
        "  cut0  [?, 4, 5, 6]",
        "  cut1  [?, 9]",
        "  cut2  [?, 3]  the model's own output",
        "For a dataset file:",
    ]
    assert lines[7:] == list(_yaml(read, found, None))


def test_of_many_cuts_the_last_ones_are_listed_or_all_where_that_is_asked_for() -> None:
    found = described(NHWC, *[VECTOR] * (SHOWN + 1))
    for all_of_them, listed, said in (
        (False, SHOWN, f"(the last {SHOWN} of {SHOWN + 1}; --all):"),
        (True, SHOWN + 1, f"({SHOWN + 1}):"),
    ):
        lines = list(_lines(files(), found, argparse.Namespace(all=all_of_them, architecture=None)))
        assert lines[2].endswith(said)
        cuts = [line for line in lines if line.startswith("  cut")]
        assert len(cuts) == listed
        assert cuts[-1] == f"  cut{SHOWN}  [?, 9]  the model's own output"
        assert cuts[0].startswith(f"  cut{SHOWN + 1 - listed}  " + " " * all_of_them)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        (NHWC, " (nhwc)"),
        (NCHW, " (nchw)"),
        ([None, 3, 32, 3], ""),  # it may be either
        ([None, 40, 32, 4], ""),
        ([None, 40, 3], ""),
        ([None, 3, 3], ""),
        ([3, 3, 40, 32, 3], ""),
    ],
)
def test_the_layout_is_said_where_one_axis_alone_has_three_channels(shape: Shape, layout: str) -> None:
    assert _layout(shape) == layout


@pytest.mark.parametrize(
    ("shape", "format", "count"),
    [
        (NHWC, "keras", None),
        (NCHW, "onnx", None),
        ([None, 40, 32, 12], "keras", 12),
        ([None, 4, 32, 12], "h5", 12),  # Keras has the channels last
        ([None, 12, 40, 32], "onnx", 12),
        ([None, 40, 32, 12], "onnx", 12),
        ([None, 40, 7, 12], "onnx", 12),  # a side is no channel
        ([None, 40, 32, None], "keras", None),
        ([None, None, 32, 5], "onnx", 5),
        ([None, 40, 32, MOST_BANDS], "keras", MOST_BANDS),
        ([None, 40, 32, MOST_BANDS + 1], "keras", None),
        ([None, 40, 12], "keras", None),
        ([None, 40, 32, 12, 12], "keras", None),
    ],
)
def test_the_channels_are_the_fewest_that_the_input_may_have(shape: Shape, format: Format, count: int | None) -> None:
    assert _channels(files(format), shape) == count


HEAD = ["  model:", "    name: birds  # as the tables show it", "    uri: file:///m/birds.onnx"]
POOLING = "    pooling: avg  # or max, or flatten"
NORMALIZE = "    normalize: CHOOSE  # as it was trained: tf, torch, caffe, none or {scale, mean, std, order}"
WHOLE = "    normalize: none  # its input is of whole numbers: it takes pixel values as they are"
SIZE = "    size: [224, 224]  # height and width as it was trained: the file leaves them open"
LAYOUT = "    layout: nhwc  # or nchw: the file does not say it"


@pytest.mark.parametrize(
    ("format", "found", "architecture", "more"),
    [
        ("onnx", described(NCHW), None, [NORMALIZE]),
        ("onnx", described(NCHW, [None, 7, 7, 9]), None, [POOLING, NORMALIZE]),
        ("onnx", described(NCHW, [None, 9, 1, 1]), None, [NORMALIZE]),  # nothing to pool
        ("onnx", described(NCHW, [None, 9, 1, 2]), None, [POOLING, NORMALIZE]),
        ("onnx", described(NCHW, type="u8"), None, [WHOLE]),
        ("weights.h5", described(NHWC), "vgg16", []),
        ("onnx", described([None, 3, None, 32]), None, [NORMALIZE, SIZE]),
        ("onnx", described([None, 3, 40, None]), None, [NORMALIZE, SIZE]),
        ("keras", described([None, None, 32, 3]), None, [NORMALIZE, SIZE]),
        ("keras", described([None, 40, None, 3]), None, [NORMALIZE, SIZE]),
        ("onnx", described([None, 3, 40, 3]), None, [NORMALIZE, LAYOUT]),
        ("openvino", described([None, 3, 40, 3]), None, [NORMALIZE, LAYOUT]),
        ("tflite", described([None, 3, 40, 3]), None, [NORMALIZE]),
    ],
)
def test_the_lines_for_a_dataset_file(
    format: Format, found: Described, architecture: str | None, more: list[str]
) -> None:
    read = files(format)
    named = [f"    architecture: {architecture}"] * bool(architecture)
    start = [*HEAD, f'    sha256: "{read.sha256}"', *named, "    cut: cut0"]
    assert list(_yaml(read, found, architecture)) == start + more


def test_channels_that_are_not_rgb_are_declared_for_the_dataset() -> None:
    lines = list(_yaml(files(), described([None, 12, 40, 32]), None))
    assert lines[0] == "  channels: {count: 12, dtype: uint8}  # or uint16 or float32: as the pictures are stored"
    assert lines[1:4] == HEAD
    assert lines[-1] == NORMALIZE


@pytest.mark.parametrize(
    ("cuts", "output", "name"),
    [
        ([[None, 7, 7, 20], [None, 20], [None, 11], [None, 10]], None, "cut2"),
        ([[None, 7, 7, 20], [None, 10], [None, 10]], None, "cut0"),  # none is longer than the output
        ([[None, 7, 20], [None, 10]], None, "cut1"),
        ([[None, 7, 7, 20], [None, 7, 20], [None, 10]], None, "cut0"),
        ([[None, None], [None, 10]], None, "cut1"),
        ([[None, 20], [None, None]], None, "cut1"),  # how long its output is, is not known
        ([[None, 20], [None, 7, 7, 10]], None, "cut1"),
        ([[None, 2], [None, 1]], None, "cut0"),
        ([[None, 20], [None, 10], [None, 5]], "cut1", "cut0"),
        ([[None, 20], [None, 10]], "another", "cut0"),
    ],
)
def test_the_suggested_cut_is_the_last_vector_that_is_longer_than_the_output(
    cuts: list[Shape], output: str | None, name: str
) -> None:
    assert suggested(described(NHWC, *cuts, output=output)).name == name


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://b/My birds-2.weights.h5", "my_birds_2"),
        ("file:///m/saved model/", "saved_model"),
        ("file:///m/2nd.onnx", "model_2nd"),
        ("file:///m/--.onnx", "model_"),
        ("file:///m/vögel.onnx", "v_gel"),
        (f"file:///m/{'a' * 70}.onnx", "a" * 63),
    ],
)
def test_the_name_for_the_tables_is_made_of_the_files(uri: str, name: str) -> None:
    assert _name(uri) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model/dense_1.a", "model/dense_1.a"),
        ("1a", "'1a'"),
        ("a1", "a1"),
        ("a?", "'a?'"),
        ("/head:0", "'/head:0'"),
        ("it's", "'it''s'"),
        ("", "''"),
    ],
)
def test_the_name_of_a_cut_is_quoted_where_yaml_may_take_it_for_something_else(name: str, text: str) -> None:
    assert _quoted(name) == text


def test_a_path_becomes_a_uri_and_a_folder_ends_in_a_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _uri("s3://b/a.onnx") == "s3://b/a.onnx"
    assert _uri("a.onnx") == f"file://{tmp_path}/a.onnx"
    assert _uri(".") == f"file://{tmp_path}/"


@pytest.mark.parametrize(
    "text",
    [
        "null", "~", "true", "on", "NO", "12", "1e5", "1_000", "0x1f", "2026-11-02", "12:30", "=", "<<", "",
        " lead", "end ", "a: b", "a #1", "#a", "- a", "? a", "@a", "%a", "`a", "&a", "*a", "!a", "[a]", "{a}", "'a'",
        '"a"', "a\\b", "a,b", "a\nb", "\x1b[31m", "\u2028", "\ufeff", "é 😀", "\U000f0000", "---", "...",
        "file:///models/a #1.onnx", "file:///models/b: c.onnx", "s3://b/birds-v3.onnx",
    ],
)  # fmt: skip
def test_whatever_is_shown_for_a_dataset_file_is_read_from_it_again(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say(f"    cut: {_quoted(text)}")
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert yaml.safe_load(shown) == {"cut": text}


def test_the_address_of_a_file_is_quoted_where_it_must_be() -> None:
    for uri, line in (
        ("file:///m/a #1.onnx", "    uri: 'file:///m/a #1.onnx'"),
        ("s3://b/birds-v3.onnx", "    uri: s3://b/birds-v3.onnx"),
    ):
        read = ModelFiles(uri, "onnx", {"model.onnx": b"x"})
        assert line in list(_yaml(read, described(), None))
