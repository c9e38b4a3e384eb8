"""`model:` as a mapping in a dataset file."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures.dataset_files import load_dataset
from imagefeatures.datasets import Dataset
from imagefeatures.errors import DatasetError
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.models.spec import ValueScale


def dataset(folder: Path, model: str, more: str = "") -> Dataset:
    path = folder / "fruit.yaml"
    path.write_text(f"name: fruit\nsource: s3://photos/fruit/\nmodel: {model}\n{more}")
    return load_dataset(path)


def own(folder: Path, model: str, more: str = "") -> OwnModel:
    found = dataset(folder, model, more).model
    assert isinstance(found, OwnModel)
    return found


@pytest.mark.parametrize(
    ("uri", "format"),
    [
        ("s3://b/birds.onnx", "onnx"),
        ("s3://b/birds.v2.weights.h5", "weights.h5"),
        ("s3://b/Birds.H5", "h5"),
        ("s3://b/birds.hdf5", "h5"),
        ("s3://b/birds.keras", "keras"),
        ("s3://b/birds.tflite", "tflite"),
        ("s3://b/birds.xml", "openvino"),
        ("s3://b/birds/", "savedmodel"),
    ],
)
def test_the_format_is_told_by_the_ending(tmp_path: Path, uri: str, format: str) -> None:
    more = ", architecture: resnet50" if format == "weights.h5" else ""
    assert own(tmp_path, f"{{name: birds, uri: '{uri}', normalize: tf{more}}}").format == format


def test_a_relative_path_is_beside_the_dataset_file_and_the_run_file_holds_it_whole(tmp_path: Path) -> None:
    folder = tmp_path / "datasets"
    folder.mkdir()
    found = dataset(folder, "{name: birds, uri: ../models/birds/, normalize: {mean: 127.5, std: 127.5}}")
    assert isinstance(found.model, OwnModel)
    assert found.model.uri == f"file://{tmp_path}/models/birds/"
    assert Dataset.model_validate_json(found.model_dump_json()) == found


def test_a_name_alone_is_the_short_form(tmp_path: Path) -> None:
    assert dataset(tmp_path, "{name: resnet50}").model == "resnet50"


@pytest.mark.parametrize(
    ("normalize", "scale"),
    [
        ("{}", ValueScale(mean=(0,), std=(1,))),
        ("{mean: 127.5, std: 127.5}", ValueScale(mean=(127.5,), std=(127.5,))),
        ("{scale: 0.00392156862745098}", ValueScale(mean=(0,), std=(255,))),
        (
            "{scale: 0.003921568627, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}",
            ValueScale(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
        ),
        ("{mean: [104, 117, 123], order: bgr}", ValueScale(mean=(104, 117, 123), std=(1,), order="bgr")),
    ],
)
def test_numbers_become_the_scale_of_the_engines(tmp_path: Path, normalize: str, scale: ValueScale) -> None:
    found = own(tmp_path, f"{{name: birds, uri: a.onnx, normalize: {normalize}}}").normalize
    assert found and not isinstance(found, str)
    assert found.as_scale().order == scale.order
    assert found.as_scale().mean == pytest.approx(scale.mean, rel=1e-8)
    assert found.as_scale().std == pytest.approx(scale.std, rel=1e-8)


def test_a_keras_file_with_the_name_of_a_backbone_is_of_this_architecture(tmp_path: Path) -> None:
    assert own(tmp_path, "{name: resnet50, uri: mine.h5}").backbone == "resnet50"
    assert own(tmp_path, "{name: birds, uri: mine.h5, architecture: vgg16}").backbone == "vgg16"
    assert own(tmp_path, "{name: birds, uri: mine.h5, normalize: tf}").backbone is None


@pytest.mark.parametrize(
    ("model", "more", "line"),
    [
        ("{uri: a.onnx, normalize: tf}", "", r"model\.name: is required"),
        ("{name: birds, normalize: tf}", "", r"model\.uri: is required"),
        ("{name: Birds, uri: a.onnx, normalize: tf}", "", r"model\.name: must be a name such as fruit"),
        ("{name: birds, uri: a.onnx}", "", r"model: normalize: is required, as no file says how "),
        ("{name: birds, uri: a.onnx, normalise: tf}", "", r"model\.normalise: unknown field \(did you mean normalize"),
        ("{name: birds, uri: a.onnx, normalize: CHOOSE}", "", r"model\.normalize: must be tf, torch, caffe or none"),
        ("{name: birds, uri: a.onnx, normalize: {std: 0}}", "", r"model\.normalize\.std\.0: must be above 0"),
        ("{name: birds, uri: a.onnx, normalize: {std: [1, 2]}}", "", r"model\.normalize\.std: must be one number, or"),
        ("{name: birds, uri: a.onnx, normalize: {men: 1}}", "", r"model\.normalize\.men: unknown field \(did you mean"),
        ("{name: birds, uri: a.pth, normalize: tf}", "", r"model\.uri: is a file that may run code when it is read"),
        ("{name: birds, uri: a.pb, normalize: tf}", "", r"model\.uri: must end in \.weights\.h5, \.h5, "),
        ("{name: birds, uri: 'https://x/a.onnx', normalize: tf}", "", r"model\.uri: must be s3://bucket/… or file:"),
        ("{name: birds, uri: '$HOME/a.onnx', normalize: tf}", "", r"model\.uri: ~, variables and "),
        ("{name: birds, uri: a.onnx, normalize: tf, sha256: abc}", "", r"model\.sha256: must be 64 hexadecimal digits"),
        ("{name: birds, uri: a.onnx, normalize: tf, size: [8, 8]}", "", r"model\.size\.0: must be at least 16"),
        ("{name: birds, uri: a.onnx, normalize: tf, pooling: mean}", "", r"model\.pooling: must be avg, max, flatten"),
        ("{name: birds, uri: a.onnx, normalize: tf, architecture: vgg16}", "", r"model: architecture: a file of"),
        ("{name: birds, uri: a.h5, architecture: vgg61}", "", r"model\.architecture: must be one of mobilenet, "),
        ("{name: birds, uri: a.weights.h5, normalize: tf}", "", r"model: architecture: is required, as"),
        ("{name: birds, uri: a.tflite, normalize: tf, layout: nchw}", "", r"model: layout: the input of a file of "),
        ("{name: vgg16, uri: a.onnx, normalize: tf}", "", r"model: name: vgg16 is a model of the service's own"),
        ("{name: birds, uri: a.onnx, normalize: tf}", "engine: tensorflow", r"engine: runs no model of format onnx; "),
        ("[birds]", "", r"model: must be a text"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_the_field(tmp_path: Path, model: str, more: str, line: str) -> None:
    with pytest.raises(DatasetError, match=rf"^fruit\.yaml: {line}") as refused:
        dataset(tmp_path, model, more)
    assert "\n" not in str(refused.value)


def test_tensorflow_runs_what_keras_reads(tmp_path: Path) -> None:
    assert (
        dataset(tmp_path, "{name: birds, uri: a.keras, normalize: none}", "engine: tensorflow").engine == "tensorflow"
    )
