"""`imagefeatures model inspect`: what is printed can be put into a dataset file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from imagefeatures.cli import main
from imagefeatures.commands import model
from imagefeatures.errors import EXIT_INPUT_ERROR
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.models.own.describe import Candidate, Described, Input
from support import model_files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "My birds-2.onnx").write_bytes(model_files.onnx())
    return tmp_path / "My birds-2.onnx"


def test_a_file_is_listed_with_its_cuts_and_lines_to_paste(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "inspect", str(file)]) == 0
    out = capsys.readouterr().out
    assert re.match(rf"file://{re.escape(str(file))}: onnx, 0\.0 MB, SHA-256 [0-9a-f]{{64}}\n", out)
    assert "\nInput: image, f32 [?, 3, 40, 32] (nchw)\n" in out
    assert "\nWhere it can be cut, from the input to the output (4):\n" in out
    assert re.search(r"\n  /pool    \[\?, 6\]\n  /head:0  \[\?, 3\]  the model's own output\n", out)
    lines = out.partition("For a dataset file:\n")[2]
    fields = yaml.safe_load(lines)["model"]
    assert (fields["name"], fields["cut"]) == ("my_birds_2", "/pool")
    with pytest.raises(ValueError, match="Input should be 'tf', 'torch', 'caffe' or 'none'"):
        OwnModel.model_validate(fields)  # how it was trained is for a person to say
    assert OwnModel.model_validate(fields | {"normalize": "tf"}).uri == f"file://{file}"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["birds.pth"], r"URI: file://.*/birds\.pth must end in \.weights\.h5, "),
        (["birds.weights.h5"], r"--architecture: is required, as a \.weights\.h5 holds arrays alone; one of mobilenet"),
        (["birds.h5", "--architecture", "vgg61"], r"--architecture: there is no backbone 'vgg61' \(did you mean vgg"),
        (["birds.onnx"], r"model: file://.*/birds\.onnx: there is no "),
    ],
)
def test_what_cannot_be_inspected_is_one_line_and_status_65(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert main(["model", "inspect", f"{tmp_path}/{words[0]}", *words[1:]]) == EXIT_INPUT_ERROR
    (said,) = capsys.readouterr().err.splitlines()
    assert re.match(f"imagefeatures: {line}", said)


def test_a_home_folder_that_there_is_not_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "inspect", "~nobody_at_all/birds.onnx"]) == EXIT_INPUT_ERROR
    said = "imagefeatures: URI: ~nobody_at_all/birds.onnx: there is no such home folder; write the whole path\n"
    assert capsys.readouterr().err == said


def test_an_input_of_whole_numbers_takes_pixel_values_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "birds.onnx").write_bytes(model_files.onnx(type=model_files.UINT8))
    assert main(["model", "inspect", str(tmp_path / "birds.onnx")]) == 0
    assert "\n    normalize: none  # its input is of whole numbers" in capsys.readouterr().out


def test_the_channels_of_an_input_that_is_not_rgb_are_a_line_to_paste(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = np.zeros((6, 12, 3, 3), np.float32)
    data = model_files.onnx((None, 12, 40, 32), arrays=model_files.weights() | {"kernel": kernel})
    (tmp_path / "bands.onnx").write_bytes(data)
    assert main(["model", "inspect", str(tmp_path / "bands.onnx")]) == 0
    fields = yaml.safe_load(capsys.readouterr().out.partition("For a dataset file:\n")[2])
    assert fields["channels"] == {"count": 12, "dtype": "uint8"}


def described(*shapes: list[int | None]) -> Described:
    candidates = [Candidate(name=str(at), shape=shape) for at, shape in enumerate(shapes)]
    return Described(input=Input(name="x", shape=[], type="f32"), candidates=candidates, output=candidates[-1].name)


@pytest.mark.parametrize(
    ("shapes", "cut"),
    [
        ([[None, 7, 7, 1024], [None, 1024], [None, 1000], [None, 1000]], "1"),
        ([[None, 7, 7, 1024], [None, 1024]], "0"),  # its output may be features or classes: the last picture is safe
        ([[None, 14, 14, 512], [None, 7, 7, 1024]], "1"),
        ([[None, 5]], "0"),
    ],
)
def test_the_suggested_cut_is_the_last_before_a_classifier(shapes: list[list[int | None]], cut: str) -> None:
    assert model.suggested(described(*shapes)).name == cut


def test_a_file_whose_own_output_is_no_vector_is_listed_with_a_cut_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "birds.onnx").write_bytes(model_files.onnx(end="Squeeze"))
    assert main(["model", "inspect", str(tmp_path / "birds.onnx")]) == 0
    found = capsys.readouterr().out
    assert "the model's own output" not in found
    assert yaml.safe_load(found.partition("For a dataset file:\n")[2])["model"]["cut"] == "/pool"
