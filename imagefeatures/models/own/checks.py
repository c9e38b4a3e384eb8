"""What is refused before any library parses a model's file: what could run code, read or write other files, or claim
more memory than the file has bytes for. Each refusal is one line that begins with what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.own import keras_config, protobuf
from imagefeatures.models.own.files import MOST_BYTES, ModelFiles
from imagefeatures.models.own.protobuf import Malformed, fields, messages, text

FILE_OPS = {
    "CreateSummaryDbWriter", "CreateSummaryFileWriter", "EagerPyFunc", "FixedLengthRecordReader",
    "FixedLengthRecordReaderV2", "GenerateVocabRemapping", "ImmutableConst", "InitializeTableFromTextFile",
    "InitializeTableFromTextFileV2", "LMDBReader", "LoadAndRemapMatrix", "MatchingFiles", "PrintV2", "PyFunc",
    "PyFuncStateless", "ReadFile", "TFRecordReader", "TFRecordReaderV2", "TextLineReader", "TextLineReaderV2",
    "WholeFileReader", "WholeFileReaderV2", "WriteFile",
}  # fmt: skip
"""TensorFlow's operations on files of the machine, and those that call Python. Saving and restoring of its own
variables, which every SavedModel has, is not run by OpenVINO."""

MOST_NESTED = 32
"""Graphs inside the branches and loops of graphs."""


def check(files: ModelFiles) -> None:
    """Raise ModelMismatch for a file that must not be parsed."""
    if not (by_format := _CHECKS.get(files.format)):
        return
    try:
        by_format(files)
    except (Malformed, RecursionError) as error:
        raise _refused(files, f"it is no {files.format} file ({error})") from None


def _onnx(files: ModelFiles) -> None:
    (data,) = files.files.values()
    model = memoryview(data)
    graphs, functions = list(messages(model, 7)), list(messages(model, 25))
    if not graphs:
        raise Malformed("it has no graph")
    for graph in graphs:
        for tensor in _tensors(graph, MOST_NESTED):
            _check_tensor(files, tensor)
    for function in functions:
        for tensor in _of_attributes([*messages(function, 7, 5), *messages(function, 11)], MOST_NESTED):
            _check_tensor(files, tensor)


def _tensors(graph: memoryview, deeper: int) -> Iterator[memoryview]:
    """The tensors of an ONNX graph, and of the graphs inside its nodes."""
    if not deeper:
        raise Malformed(f"more than {MOST_NESTED} graphs inside each other")
    yield from messages(graph, 5)  # initializer
    for sparse in messages(graph, 15):
        yield from _of_sparse(sparse)
    yield from _of_attributes(messages(graph, 1, 5), deeper)


def _of_attributes(attributes: Iterable[memoryview], deeper: int) -> Iterator[memoryview]:
    for attribute in attributes:
        yield from messages(attribute, 5)
        yield from messages(attribute, 10)
        for sparse in [*messages(attribute, 22), *messages(attribute, 23)]:
            yield from _of_sparse(sparse)
        for inner in [*messages(attribute, 6), *messages(attribute, 11)]:
            yield from _tensors(inner, deeper - 1)


def _of_sparse(sparse: memoryview) -> Iterator[memoryview]:
    yield from messages(sparse, 1)
    yield from messages(sparse, 2)


def _check_tensor(files: ModelFiles, tensor: memoryview) -> None:
    """tensor: an ONNX TensorProto."""
    sides: list[int] = []
    for number, value in fields(tensor):
        if number == 1:
            sides += [value] if isinstance(value, int) else _packed(value)
        if number == 13 or (number == 14 and value):
            raise _refused(files, "its weights lie in another file (external data); save it as one file")
    if (elements := math.prod(sides)) > 8 * len(tensor):  # a type has at least a bit for each
        raise _refused(files, f"a tensor claims {elements} values in {len(tensor)} bytes")


def _packed(value: memoryview) -> list[int]:
    """Whole numbers that stand in one field without keys."""
    numbers, at = [], 0
    while at < len(value):
        number, at = protobuf.varint(value, at)
        numbers.append(number)
    return numbers


def _saved_model(files: ModelFiles) -> None:
    if "saved_model.pb" not in files.files:
        raise Malformed("there is no saved_model.pb in the folder")
    model = memoryview(files.files["saved_model.pb"])
    nodes = [*messages(model, 2, 2, 1), *messages(model, 2, 2, 2, 1, 3)]  # of the graph; of its functions
    if not nodes:
        raise Malformed("it has no graph")
    used = {text(op) for node in nodes for op in messages(node, 2)}
    if found := sorted(used & FILE_OPS):
        raise _refused(files, f"its graph uses {', '.join(found)}: files of the machine, or Python code")


def _refused(files: ModelFiles, why: str) -> ModelMismatch:
    return ModelMismatch(f"model: {files.uri} is refused: {why}")


def _keras(files: ModelFiles) -> None:
    (data,) = files.files.values()
    try:
        keras_config.check_archive(data, MOST_BYTES)
    except ModelMismatch as error:
        raise _refused(files, str(error)) from None


_CHECKS: dict[str, Callable[[ModelFiles], None]] = {"onnx": _onnx, "savedmodel": _saved_model, "keras": _keras}
