"""What is refused before any library parses a model's file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.own import checks, keras_config
from imagefeatures.models.own.files import ModelFiles
from imagefeatures.models.own.protobuf import Malformed, fields
from imagefeatures.models.spec import Format
from support import model_files
from support.model_files import field


def check(format: Format, data: bytes, name: str = "model") -> None:
    checks.check(ModelFiles("s3://b/theirs", format, {name: data}))


def refused(format: Format, data: bytes, why: str, name: str = "model") -> None:
    with pytest.raises(ModelMismatch, match=rf"^model: s3://b/theirs is refused: {why}") as error:
        check(format, data, name)
    assert "\n" not in str(error.value)


def test_models_without_anything_of_it_pass() -> None:
    """Else the tests below would prove nothing."""
    check("onnx", model_files.onnx())
    check("savedmodel", model_files.saved_model("Conv2D", "RestoreV2", "SaveV2"), "saved_model.pb")
    check("keras", model_files.keras_archive(model_files.configuration(model_files.LAYER), b"x"))


OUTSIDE = field(13, field(1, "location") + field(2, "../../etc/passwd")) + field(14, 1)


def test_onnx_weights_in_another_file_are_refused_wherever_they_stand() -> None:
    outside = model_files.tensor("other", np.zeros(3, np.float32), OUTSIDE)
    constant = field(1, field(4, "Constant") + field(5, field(1, "value") + field(5, outside)))
    branch = field(1, field(4, "If") + field(5, field(1, "then_branch") + field(6, constant)))
    sparse = field(15, field(1, outside))
    for graph in (field(5, outside), constant, branch, sparse):
        refused("onnx", field(7, graph), r"its weights lie in another file \(external data\)")
    function = field(25, field(7, field(4, "Constant") + field(5, field(10, outside))))
    refused("onnx", field(7, field(2, "g")) + function, r"its weights lie in another file")


def test_onnx_functions_pass_and_their_tensors_are_looked_at() -> None:
    inner = field(1, "x") + field(2, "y") + field(4, "Identity")
    function = field(1, "Same") + field(4, "x") + field(5, "an output") + field(7, inner) + field(10, "local")
    check("onnx", model_files.onnx() + field(25, function))
    default = field(11, field(1, "value") + field(5, model_files.tensor("w", np.zeros(3, np.float32), OUTSIDE)))
    refused("onnx", model_files.onnx() + field(25, function + default), r"its weights lie in another file")


def test_an_onnx_tensor_that_claims_more_than_the_file_has_is_refused() -> None:
    bomb = field(1, 1 << 40) + field(2, 1) + field(8, "bomb")
    refused("onnx", model_files.onnx(initializers=field(5, bomb)), r"a tensor claims 1099511627776 values in \d+ bytes")
    packed = field(1, model_files.varint(1 << 20) + model_files.varint(1 << 20)) + field(2, 1)
    refused("onnx", field(7, field(5, packed)), r"a tensor claims 1099511627776 values")


def test_graphs_inside_graphs_without_end_are_refused() -> None:
    graph = field(2, "innermost")
    for _ in range(40):
        graph = field(1, field(5, field(6, graph)))
    refused("onnx", field(7, graph), r"it is no onnx file \(more than 32 graphs inside each other\)")


@pytest.mark.parametrize("data", [b"", b"\x80\x04pickle", b"PK\x03\x04", b"<!doctype html>", b"\x08", b"\x0a\xff\x01"])
def test_what_is_no_onnx_file_is_refused(data: bytes) -> None:
    refused("onnx", data, r"it is no onnx file \(")


@pytest.mark.parametrize("op", ["ReadFile", "WriteFile", "PyFunc", "MatchingFiles"])
def test_a_saved_model_with_operations_on_files_is_refused(op: str) -> None:
    refused("savedmodel", model_files.saved_model("Conv2D", op), rf"its graph uses {op}: files", "saved_model.pb")


def test_an_operation_on_files_in_a_function_is_found_too() -> None:
    function = field(2, field(1, field(3, field(1, "inner") + field(2, "ReadFile"))))
    model = field(2, field(2, field(1, field(2, "Conv2D")) + function))
    refused("savedmodel", model, r"its graph uses ReadFile", "saved_model.pb")


def test_a_folder_without_a_saved_model_is_refused() -> None:
    refused("savedmodel", b"", r"it is no savedmodel file \(there is no saved_model\.pb", "model.pb")
    refused("savedmodel", b"", r"it is no savedmodel file \(it has no graph\)", "saved_model.pb")


@pytest.mark.parametrize(
    ("member", "why"),
    [
        ("../../outside.txt", r"its archive has '\.\./\.\./outside\.txt'"),
        ("/etc/cron.d/job", r"its archive has '/etc/cron\.d/job'"),
        ("assets/vocabulary.txt", r"its archive has 'assets/vocabulary\.txt'"),
        ("config.json", r"its archive has config\.json, config\.json"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile writes it all the same
def test_a_keras_archive_with_other_members_is_refused(member: str, why: str) -> None:
    refused("keras", model_files.keras_archive(model_files.configuration(), b"x", **{member: b"x"}), why)


def test_a_keras_archive_that_would_unpack_to_too_much_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(model_files.configuration()))
        archive.writestr("model.weights.h5", bytes(5_000_000))
    data = (tmp_path / "a.keras").read_bytes()
    refused("keras", data, r"its model\.weights\.h5 would have 5000000 bytes when unpacked")
    refused("keras", data[:-100], r"it is no \.keras file \(")
    refused("keras", b"\x89HDF\r\n\x1a\n", r"it is no \.keras file \(")


LAMBDA = {"class_name": "__lambda__", "config": {"code": "4wEAAA==", "defaults": None, "closure": None}}


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        ({"module": "keras.layers", "class_name": "Lambda", "config": {"function": LAMBDA}}, r"it has a layer "),
        ({**model_files.LAYER, "config": {"activation": LAMBDA}}, r"it has a layer __lambda__, which runs code"),
        ({"module": "keras.layers", "class_name": "TFSMLayer", "config": {}}, r"it has a layer TFSMLayer"),
        ({"module": "os", "class_name": "system", "config": {}}, r"its system is a class of its own \(os\)"),
        ({"module": "keras_evil", "class_name": "Dense", "config": {}}, r"its Dense is a class of its own"),
        (
            {"module": None, "class_name": "Mine", "registered_name": "Custom>Mine", "config": {}},
            r"its Mine is a class of its own \(Custom>Mine\)",
        ),
        ({"module": "keras.layers", "class_name": ["Dense"], "config": {}}, r"its \['Dense'\] is a class of its own"),
    ],
)
def test_a_configuration_with_code_or_foreign_classes_is_refused(layer: dict[str, Any], why: str) -> None:
    refused("keras", model_files.keras_archive(model_files.configuration(layer), b"x"), why)


@pytest.mark.parametrize("config", [b"", b"[]", b"{", b"[" * 100_000, b"\xff\xfe"])
def test_a_configuration_that_is_none_is_refused(config: bytes) -> None:
    with pytest.raises(ModelMismatch, match=r"^its configuration is no (JSON|mapping)"):
        keras_config.check_config(config)


def test_a_part_that_was_compiled_is_looked_at() -> None:
    inner = {**model_files.LAYER, "compile_config": {"loss": LAMBDA}}
    refused("keras", model_files.keras_archive(model_files.configuration(inner), b"x"), r"it has a layer __lambda__")


def test_what_a_model_was_compiled_with_is_not_looked_at() -> None:
    config = model_files.configuration() | {"compile_config": {"loss": {"class_name": "function", "module": "mine"}}}
    keras_config.check_config(json.dumps(config))


LONG = model_files.varint((13 << 3 | 2) + (1 << 32)) + b"\x00"
"""A key that libraries cut to that of field 13."""


@pytest.mark.parametrize(
    "data", [b"\x0b", b"\x0c", b"\xff" * 11, b"\x09\x00", b"\x0d\x00", LONG, b"\x00\x00", b"\x02\x00"]
)
def test_bytes_that_are_no_protobuf_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        list(fields(memoryview(data)))


def test_all_kinds_of_fields_are_read() -> None:
    message = field(1, 300) + b"\x11" + bytes(range(8)) + field(3, "text") + b"\x25" + bytes(4)
    found = [
        (number, value if isinstance(value, int) else bytes(value)) for number, value in fields(memoryview(message))
    ]
    assert found == [(1, 300), (2, bytes(range(8))), (3, b"text"), (4, bytes(4))]
