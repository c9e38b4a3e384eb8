"""A model that Keras reads (`.keras`, `.h5`, `.weights.h5`): where it can be cut, and the cut model.

Keras itself is the reference. Nothing in a file is executed: a configuration is made of Keras' own layers only.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import gpus, reference
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.engines import openvino
from imagefeatures.models.hdf5 import Arrays
from imagefeatures.models.own import keras_arrays, keras_config
from imagefeatures.models.own.describe import Candidate, Described, Input, check_cut, check_one_image
from imagefeatures.models.own.files import MOST_BYTES
from imagefeatures.models.spec import Format, ModelSpec

CUT_FILE = "cut.keras"
"""The cut model, for the engine `tensorflow`."""


class KerasGraph:
    """A model as Keras reads it. path: of the file.

    architecture: the name of the backbone whose weights the file holds; None for a file that says what it is.
    size: height and width for a backbone, where they are not its usual ones.
    """

    def __init__(
        self, path: Path, format: Format, architecture: str | None, size: tuple[int, int] | None = None
    ) -> None:
        data = path.read_bytes()
        _check(data, format, whole=not architecture)  # before TensorFlow is imported: a refusal takes no time
        _configure()
        self.model = _backbone(architecture, data, format, size) if architecture else _load(path)
        if len(self.model.inputs) != 1:
            raise ModelMismatch(f"it has {len(self.model.inputs)} inputs, and an image is one")
        _check_weights(self.model)

    def describe(self) -> Described:
        """What the file says of its input and of where it can be cut."""
        given, own = self.model.inputs[0], self.model.outputs[0]
        outputs = _outputs(self.model)
        return Described(
            input=Input(name=given.name, shape=list(given.shape), type=str(given.dtype)),
            candidates=[Candidate(name=name, shape=list(output.shape)) for name, output in outputs.items()],
            output=next((name for name, output in outputs.items() if output is own), ""),
        )

    def shape_of(self, cut: str, input_shape: Sequence[int], layout: str) -> tuple[list[int], tuple[int, ...]]:
        """The shape of the cut's output for one image, and the axes of it that pooling takes."""
        shape = self._cut(cut, input_shape).compute_output_shape((1, *input_shape))
        if None in shape:
            raise ModelMismatch(f"cut: the shape of {cut} is not known before it is computed; choose another")
        check_one_image(cut, shape)
        return list(shape), tuple(range(1, len(shape) - 1))

    def build(self, spec: ModelSpec) -> tuple[dict[str, bytes], np.ndarray]:
        """The engines' files, and the reference's vectors of the golden pictures: float32 [4, width]."""
        import keras

        image = keras.Input(spec.input_shape, name="image")
        # Said in the graph: layers such as RandomFlip train where nobody says anything, and OpenVINO says nothing.
        output = self._cut(spec.cut, spec.input_shape)(image, training=False)
        model = keras.Model(image, _pooled(output, spec))
        pixels = reference.scaled(reference.golden_inputs(spec), spec.value_scale)
        golden = model(pixels, training=False).numpy()
        with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
            path = Path(folder) / CUT_FILE
            model.save(path)
            saved = path.read_bytes()
        return {CUT_FILE: saved, **openvino.export(model, spec)}, golden

    def _cut(self, name: str, input_shape: Sequence[int]) -> Any:
        import keras

        outputs = _outputs(self.model)
        check_cut(name, outputs)
        if (dtype := str(outputs[name].dtype)) != "float32":  # an operation may cast, round or compare
            raise ModelMismatch(f"cut: {name} gives {dtype}, and a vector needs float32")
        return keras.Model(self.model.inputs[0], outputs[name])


def load_cut(data: bytes) -> Any:
    """The Keras model of CUT_FILE. data: of a bundle, whose digest is right."""
    import keras

    keras_config.check_archive(data, MOST_BYTES)
    gpus.configure_tensorflow()
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        path = Path(folder) / CUT_FILE
        path.write_bytes(data)
        return keras.models.load_model(path, compile=False, safe_mode=True)


def _configure() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
    gpus.configure_tensorflow()
    import keras

    keras.utils.clear_session()  # layers without names of their own are numbered from the beginning


def _check(data: bytes, format: Format, *, whole: bool) -> None:
    """whole: the file says itself what the model is."""
    if whole and format == "h5":
        keras_config.check_config(keras_arrays.configuration(data))
    keras_arrays.check(keras_config.weights(data) if format == "keras" else data)


def _load(path: Path) -> Any:
    import keras

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what its layers raise
        line = next((line for line in map(str.strip, str(error).splitlines()) if line), "")
        raise ModelMismatch(
            "Keras cannot load it; where it holds a backbone of keras.applications, say which by architecture "
            f"({type(error).__name__}: {line[:200]})"
        ) from None
    if not getattr(model, "inputs", None):
        raise ModelMismatch("its input is not known before it is called; save it as a functional model")
    return model


def _backbone(architecture: str, data: bytes, format: Format, size: tuple[int, int] | None) -> Any:
    import keras

    spec = BACKBONES[architecture]
    shape = (*size, 3) if size else spec.input_shape
    builder = getattr(keras.applications, spec.architecture)
    model = builder(input_shape=shape, include_top=False, weights=None, pooling="avg")
    layers = reference.weighted(model)
    shapes = [[tuple(variable.shape) for variable in reference.variables(layer)] for layer in layers]
    if format == "h5":
        counts = [(len(layer.trainable_weights), len(layer.non_trainable_weights)) for layer in layers]
        arrays = keras_arrays.without_head(data, counts, shapes)
    else:
        kinds = ((layer.name, type(layer).__name__, own) for layer, own in zip(layers, shapes, strict=True))
        arrays = keras_arrays.by_class(data, kinds)
    _check_says_its_layers(spec, arrays)
    reference.set_arrays(layers, arrays, spec)
    return model


def _check_says_its_layers(spec: ModelSpec, arrays: Arrays) -> None:
    """Raise ModelMismatch for an EfficientNet with ImageNet's mean in its first layer.

    Keras adds a layer without arrays where it builds the model with weights="imagenet": both files are the same.
    """
    mean = next(iter(arrays.values()), [np.zeros(1)])[0]
    if mean.any() and reference.as_in_imagenet(spec, arrays) is not arrays:
        raise ModelMismatch(
            f"architecture: arrays of {spec.architecture} do not say whether Keras built it with weights='imagenet', "
            "which adds a layer; save the whole model as .keras, and leave architecture out"
        )


def _check_weights(model: Any) -> None:
    import keras

    for layer in model._flatten_layers():  # those of a model inside the model too
        if not isinstance(layer, keras.Model) and getattr(layer, "compute_dtype", "float32") not in ("float32", None):
            raise ModelMismatch(f"its layer {layer.name} computes in {layer.compute_dtype}; save the model in float32")
    for weight in model.weights:
        if str(weight.dtype) == "float16" or not np.isfinite(np.asarray(weight)).all():
            raise ModelMismatch(f"its weights {weight.path} are of float16, or hold values that are not finite")


def _outputs(model: Any) -> dict[str, Any]:
    """The output of each layer and operation in this model's graph, by its name, from the input to the end.

    Of one that is called often there, or gives several outputs, only the model's own output has the name: the others
    have none. What has no sides beside the number of images is no place to cut, nor is the input.
    """
    graph = getattr(model, "_functional", None) or model  # a Sequential has a graph inside
    order = {id(operation): place for place, operation in enumerate(graph.operations)}
    calls = [(depth, node) for depth, nodes in graph._nodes_by_depth.items() for node in nodes]
    often = Counter(id(node.operation) for _, node in calls)
    outputs: dict[str, Any] = {}
    # By the depth of the call: an operation that is called often lies in the graph's order where it is called first.
    for _, node in sorted(calls, key=lambda call: (-call[0], order[id(call[1].operation)])):
        only = often[id(node.operation)] == 1 and len(node.outputs) == 1
        found = [output for output in node.outputs if only or output is model.outputs[0]]
        if found and not node.is_input and len(found[0].shape) > 1:
            outputs[node.operation.name] = found[0]
    return outputs


def _pooled(output: Any, spec: ModelSpec) -> Any:
    from keras import layers

    sides = len(output.shape) - 2
    if spec.pooling in ("avg", "max") and sides in (1, 2):
        kind = "Average" if spec.pooling == "avg" else "Max"
        return getattr(layers, f"Global{kind}Pooling{sides}D")()(output)
    return output if len(output.shape) == 2 else layers.Flatten()(output)
