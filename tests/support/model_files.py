"""Small models in the formats that users bring, written by hand: no framework is needed to make them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

FLOAT, UINT8, INT64 = 1, 2, 7
"""ONNX's numbers of types."""

HEIGHT, WIDTH = 40, 32
"""The input of these models: not square, so that exchanged sides are seen."""


def field(number: int, value: int | bytes | str) -> bytes:
    """A field of a protobuf message: a whole number, a text or an inner message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def tensor(name: str, array: np.ndarray, more: bytes = b"") -> bytes:
    """An ONNX TensorProto. more: fields after those of the array."""
    kind = FLOAT if array.dtype == np.float32 else INT64
    dims = b"".join(field(1, side) for side in array.shape)
    return dims + field(2, kind) + field(8, name) + field(9, array.tobytes()) + more


def node(op: str, name: str, inputs: Sequence[str], attributes: bytes = b"") -> bytes:
    """An ONNX NodeProto with one output, `<name>:0`."""
    given = b"".join(field(1, one) for one in inputs)
    return given + field(2, f"{name}:0") + field(3, name) + field(4, op) + attributes


def ints(name: str, values: Sequence[int]) -> bytes:
    """A node's attribute of several whole numbers."""
    return field(5, field(1, name) + b"".join(field(8, value) for value in values) + field(20, 7))


def value(name: str, sides: Sequence[int | None], type: int = FLOAT) -> bytes:
    """An ONNX ValueInfoProto. None: a side that the file leaves open."""
    dims = (field(1, field(1, side) if side else field(2, "open")) for side in sides)
    return field(1, name) + field(2, field(1, field(1, type) + field(2, b"".join(dims))))


def weights() -> dict[str, np.ndarray]:
    """Of `onnx`: of a convolution to 6 channels, and of a classifier of 3 classes."""
    drawn = np.random.default_rng(7)
    return {
        "kernel": drawn.normal(0, 0.4, (6, 3, 3, 3)).astype(np.float32),
        "head": drawn.normal(0, 1, (6, 3)).astype(np.float32),
    }


def onnx(
    sides: Sequence[int | None] = (None, 3, HEIGHT, WIDTH),
    arrays: Mapping[str, np.ndarray] | None = None,
    initializers: bytes = b"",
    type: int = FLOAT,
    end: str | None = None,
) -> bytes:
    """An ONNX model: /conv, /relu [n, 6, 20, 16], /pool [n, 6], /head [n, 3], with sides NCHW or NHWC.

    It takes as many channels as the kernel among the arrays has. end: an operation after /head, the node /end.
    """
    arrays = arrays or weights()
    nhwc = sides[1] != arrays["kernel"].shape[1]
    image = "image" if type == FLOAT else "/float:0"
    nodes = [node("Transpose", "/turned", [image], ints("perm", [0, 3, 1, 2]))] if nhwc else []
    nodes += [
        node("Conv", "/conv", ["/turned:0" if nhwc else image, "kernel"],
             ints("strides", [2, 2]) + ints("pads", [1, 1, 1, 1])),
        node("Relu", "/relu", ["/conv:0"]),
        node("ReduceMean", "/pool", ["/relu:0"],
             ints("axes", [2, 3]) + field(5, field(1, "keepdims") + field(3, 0) + field(20, 2))),
        node("MatMul", "/head", ["/pool:0", "head"]),
    ]  # fmt: skip
    if type != FLOAT:
        nodes.insert(0, node("Cast", "/float", ["image"], field(5, field(1, "to") + field(3, FLOAT) + field(20, 2))))
    if end:
        nodes.append(node(end, "/end", ["/head:0"]))
    graph = b"".join(field(1, one) for one in nodes) + field(2, "small")
    graph += b"".join(field(5, tensor(name, array)) for name, array in arrays.items()) + initializers
    graph += field(11, value("image", sides, type)) + field(12, value("/end:0" if end else "/head:0", [None, 3]))
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


def features(scaled: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """What /pool of `onnx` is, by NumPy alone. scaled: float32 [n, height, width, channels]. Returns float32 [n, 6]."""
    padded = np.pad(scaled, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = scaled.shape[1:3]
    windows = np.stack(
        [padded[:, y : y + height : 2, x : x + width : 2] for y in range(3) for x in range(3)], -1
    )  # [n, height / 2, width / 2, channels, 9]
    outputs = np.einsum("nhwck,fck->nhwf", windows.astype(np.float64), kernel.reshape(6, -1, 9).astype(np.float64))
    return np.maximum(outputs, 0).mean((1, 2)).astype(np.float32)


def saved_model(*ops: str) -> bytes:
    """A saved_model.pb whose graph has these operations, and a function with a NoOp."""
    nodes = b"".join(field(1, field(1, f"node{number}") + field(2, op)) for number, op in enumerate(ops))
    function = field(1, field(3, field(1, "inner") + field(2, "NoOp")))
    return field(1, 1) + field(2, field(2, nodes + field(2, function)))


def hdf5(path: Path, arrays: Mapping[str, np.ndarray]) -> bytes:
    """An HDF5 file with arrays at these paths."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path.read_bytes()


LAYER = {
    "module": "keras.layers",
    "class_name": "GlobalAveragePooling2D",
    "config": {"name": "pool", "trainable": True},
    "registered_name": None,
}


def configuration(*layers: Mapping[str, object]) -> dict[str, object]:
    """The config.json of a Sequential of these layers, for pictures of HEIGHT × WIDTH."""
    image = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, HEIGHT, WIDTH, 3], "dtype": "float32", "name": "image"},
        "registered_name": None,
    }
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "small", "layers": [image, *layers]},
        "registered_name": None,
    }


def keras_archive(config: Mapping[str, object], weights: bytes, **more: bytes) -> bytes:
    """A `.keras`. more: further members, by name."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)
        for name, data in more.items():
            archive.writestr(name, data)
    return sink.getvalue()
