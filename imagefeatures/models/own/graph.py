"""A model that OpenVINO reads (ONNX, TensorFlow Lite, SavedModel, its own IR): where it can be cut, and the cut model.

Of these the runtime itself is the reference: the file as it was read, with another number of threads, with scaling and
pooling done by NumPy, must give what the prepared model gives. No TensorFlow is imported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import reference
from imagefeatures.models.engines import openvino as engine
from imagefeatures.models.own import onnx_nodes, protobuf
from imagefeatures.models.own.describe import Candidate, Described, Input, check_cut, check_one_image
from imagefeatures.models.spec import ModelSpec

FRONT_ENDS = {"onnx": "onnx", "tflite": "tflite", "savedmodel": "tf", "openvino": "ir"}

REFERENCE_SETTINGS = engine.SETTINGS | {"INFERENCE_NUM_THREADS": 2}
"""Another number of threads sums in another order: what differs by it is not the model's."""

_NUMBERED = re.compile(r"[A-Z][A-Za-z]*_\d+")
"""A name that OpenVINO itself has given to a node of a converted graph, such as Transpose_871: it is another one in the
next version."""


class Graph:
    """A model as OpenVINO reads it. path: of the file, or of the SavedModel's folder."""

    def __init__(self, path: Path, format: str) -> None:
        self.format, self._path = format, path
        self.model, self.outputs, self._output = _tflite(path) if format == "tflite" else _read(path, format)
        if len(self.model.inputs) != 1:
            raise ModelMismatch(f"it has {len(self.model.inputs)} inputs, and an image is one")

    def describe(self) -> Described:
        """What the file says of its input and of where it can be cut."""
        given = self.model.input(0)
        # The first name of an output is the best one. What only passes values on is no place of its own.
        first: dict[Any, str] = {}
        for name, output in self.outputs.items():
            if not _passes_on(output) or name == self._output:
                first.setdefault((output.get_node().get_friendly_name(), output.get_index()), name)
        names = list(first.values())
        return Described(
            input=Input(name=given.any_name, shape=_shape(given), type=given.element_type.to_string()),
            candidates=[Candidate(name=name, shape=_shape(self.outputs[name])) for name in names],
            output=self._output,
        )

    def cut(self, name: str, input_shape: Sequence[int], layout: str) -> Any:
        """The openvino.Model of one image up to the cut. input_shape: height, width, channels."""
        import openvino as ov

        check_cut(name, self.outputs)
        found = self.outputs[name]
        if not found.element_type.is_real():
            raise ModelMismatch(f"cut: {name} gives {found.element_type.to_string()}, and a vector needs real numbers")
        model = ov.Model([found], self.model.get_parameters())
        height, width, channels = input_shape
        model.reshape([1, height, width, channels] if layout == "nhwc" else [1, channels, height, width])
        _check_finite(model)
        if self.format == "onnx":
            onnx_nodes.check(memoryview(self._path.read_bytes()), found.get_names(), _enlarged(model))
        return model

    def shape_of(self, cut: str, input_shape: Sequence[int], layout: str) -> tuple[list[int], tuple[int, ...]]:
        """The shape of the cut's output for one image, and the axes of it that pooling takes."""
        shape = self.cut(cut, input_shape, layout).output(0).partial_shape
        if shape.is_dynamic:
            raise ModelMismatch(f"cut: the shape of {cut} is not known before it is computed; choose another")
        sides = list(shape.to_shape())
        check_one_image(cut, sides)
        return sides, spatial_axes(sides, input_shape, layout) if len(sides) in (3, 4) else ()

    def build(self, spec: ModelSpec) -> tuple[dict[str, bytes], np.ndarray]:
        """The engine's files, and the reference's vectors of the golden pictures: float32 [4, width]. Once only."""
        pixels = reference.golden_inputs(spec)
        golden = _reference_vectors(self.cut(spec.cut, spec.input_shape, spec.layout), spec, pixels)
        return engine.as_files(_pooled(self.cut(spec.cut, spec.input_shape, spec.layout), spec), spec), golden


def spatial_axes(shape: Sequence[int], input_shape: Sequence[int], layout: str) -> tuple[int, ...]:
    """The axes of a cut's output that are not the channels. input_shape: height, width, channels of the image.

    Converters move the channels of inner nodes: the other two sides are those whose ratio is nearest to the image's.

    >>> spatial_axes([1, 1280, 7, 7], (224, 224, 3), "nhwc"), spatial_axes([1, 7, 7, 1280], (224, 224, 3), "nhwc")
    ((2, 3), (1, 2))
    >>> spatial_axes([1, 49, 384], (224, 224, 3), "nhwc")
    (1,)
    """
    if len(shape) == 3:
        return (1,)  # tokens
    last, first = _distortion(shape[1:3], input_shape), _distortion(shape[2:4], input_shape)
    if last == first:
        return (1, 2) if layout == "nhwc" else (2, 3)
    return (1, 2) if last < first else (2, 3)


def _distortion(sides: Sequence[int], input_shape: Sequence[int]) -> float:
    """How far the ratio of two sides is from the image's, as a logarithm: 0 where they are the same."""
    return abs(math.log(sides[0] * input_shape[1] / (sides[1] * input_shape[0])))


def _read(path: Path, format: str) -> tuple[Any, dict[str, Any], str]:
    """The openvino.Model, the outputs of its nodes by name, and the name of the model's own first output.

    The last is empty where the own output is none of them: no earlier node may stand for it.
    """
    front_end = _front_end(format)
    model = front_end.convert(front_end.load(str(path)))
    outputs: dict[str, Any] = {}
    for op in model.get_ordered_ops():
        if op.get_type_name() in ("Constant", "Parameter", "Result", "ReadValue", "Assign"):
            continue
        for output in op.outputs():
            if output.partial_shape.rank.is_static and output.partial_shape.rank.get_length() > 1:
                for name in _names(op, output, format):
                    outputs.setdefault(name, output)
    for name, made in _nodes_of_onnx(path) if format == "onnx" else ():
        if made in outputs:
            outputs.setdefault(name, outputs[made])
    last = model.output(0).get_node().input_value(0)
    return model, outputs, next((name for name, output in outputs.items() if _is_same(output, last)), "")


def _names(op: Any, output: Any, format: str) -> list[str]:
    """The names by which the file, or what comes after it in the file, knows an output. The best one first."""
    friendly = op.get_friendly_name()
    own = [friendly] if op.get_output_size() == 1 else []
    if format == "savedmodel" and _NUMBERED.fullmatch(friendly):
        # The conversion gave the name: the file has only that of the node that takes the output.
        takers = [taker.get_node().get_friendly_name() for taker in output.get_target_inputs() if not taker.get_index()]
        own = [f"input of {taker}" for taker in takers if not _NUMBERED.fullmatch(taker)]
    return [*own, *sorted(output.get_names())]


def _nodes_of_onnx(path: Path) -> Iterator[tuple[str, str]]:
    """The name of each node with one output, and the name of the output.

    OpenVINO calls what gives the model's own output by the output's name alone.
    """
    for node in protobuf.messages(memoryview(path.read_bytes()), 7, 1):
        names, outputs = list(protobuf.messages(node, 3)), list(protobuf.messages(node, 2))
        if len(outputs) == 1 and names and names[-1]:
            yield protobuf.text(names[-1]), protobuf.text(outputs[0])


def _tflite(path: Path) -> tuple[Any, dict[str, Any], str]:
    """As `_read`. All tensors become outputs: only so does OpenVINO keep their names and their order of axes."""
    front_end = _front_end("tflite")
    decoded = front_end.decode(front_end.load(str(path)))
    made = [op for op in decoded.get_ordered_ops() if "FrameworkNode" in op.get_type_name()]
    names = list(dict.fromkeys(name for op in made for output in op.outputs() for name in output.get_names()))
    loaded = front_end.load(str(path))
    loaded.override_all_outputs([loaded.get_place_by_tensor_name(name) for name in names])
    model = front_end.convert(loaded)
    outputs = {output.any_name: output.get_node().input_value(0) for output in model.outputs}
    named = {name: outputs[name] for name in names if outputs[name].partial_shape.rank.get_length() > 1}
    own = decoded.output(0).any_name
    return model, named, own if own in named else ""


def _front_end(format: str) -> Any:
    from openvino.frontend import FrontEndManager

    return FrontEndManager().load_by_framework(FRONT_ENDS[format])


def _pooled(model: Any, spec: ModelSpec) -> Any:
    """The model with its output as float32 [1, width]."""
    import openvino as ov
    from openvino import opset13 as ops

    output = model.output(0).get_node().input_value(0)
    if output.element_type != ov.Type.f32:
        output = ops.convert(output, "f32").output(0)
    if spec.pooling in ("avg", "max"):
        axes = np.array(spatial_axes(list(output.shape), spec.input_shape, spec.layout), np.int64)
        reduce = ops.reduce_mean if spec.pooling == "avg" else ops.reduce_max
        output = reduce(output, axes, keep_dims=False).output(0)
    vector = ops.reshape(output, np.array([1, spec.width], np.int64), special_zero=False)
    return ov.Model([vector.output(0)], model.get_parameters())


def _reference_vectors(model: Any, spec: ModelSpec, pixels: np.ndarray) -> np.ndarray:
    import openvino as ov

    compiled = ov.Core().compile_model(model, "CPU", REFERENCE_SETTINGS)
    scaled = reference.scaled(pixels, spec.value_scale)
    vectors = []
    for image in scaled if spec.layout == "nhwc" else scaled.transpose(0, 3, 1, 2):
        given = np.ascontiguousarray(image[None], model.input(0).element_type.to_dtype())
        output = compiled(given)[0].astype(np.float32)
        if spec.pooling in ("avg", "max"):
            axes = spatial_axes(output.shape, spec.input_shape, spec.layout)
            output = output.mean(axes) if spec.pooling == "avg" else output.max(axes)
        vectors.append(output.reshape(-1))
    return np.stack(vectors)


def _enlarged(model: Any) -> set[str]:
    """The names of outputs whose sides are all at least as long as those of what was resized."""
    names: set[str] = set()
    for op in model.get_ordered_ops():
        if op.get_type_name() == "Interpolate":
            before, after = _shape(op.input_value(0)), _shape(op.output(0))
            if before and all(one and other and one <= other for one, other in zip(before, after, strict=True)):
                names |= op.output(0).get_names()
    return names


def _check_finite(model: Any) -> None:
    for op in model.get_ordered_ops():
        is_weight = op.get_type_name() == "Constant" and op.output(0).element_type.is_real()
        if is_weight and np.isnan(op.get_data(dtype=np.float32)).any():
            raise ModelMismatch(f"its weights {op.get_friendly_name()} hold values that are not numbers (NaN)")


def _passes_on(output: Any) -> bool:
    node = output.get_node()
    return bool(node.get_type_name() == "Convert" and node.input(0).get_element_type() == output.element_type)


def _shape(output: Any) -> list[int | None]:
    """None for a side that the file leaves open; nothing where even their number is open."""
    shape = output.partial_shape
    if shape.rank.is_dynamic:
        return []
    return [side.get_length() if side.is_static else None for side in shape]


def _is_same(one: Any, other: Any) -> bool:
    return bool(one.get_node() == other.get_node() and one.get_index() == other.get_index())
