"""The model in Keras: the numbers that every engine must reproduce."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import gpus
from imagefeatures.models.spec import WHOLE

if TYPE_CHECKING:
    from imagefeatures.models.hdf5 import Arrays
    from imagefeatures.models.spec import ModelSpec, ValueScale

MOST_ABSOLUTE_DIFFERENCE = 1e-3
LEAST_COSINE = 0.99999
GOLDEN = Path(__file__).parent / "golden"


def build(spec: ModelSpec, arrays: Arrays) -> Any:
    """The model in Keras: float32 [n, *input_shape], scaled, to float32 [n, width].

    arrays: the whole backbone's, or those of the model that this function made, in their order. Their layers' names are
    not compared: Keras numbers the layers that its architectures do not name. Raises ModelMismatch when the
    architecture has other layers, or arrays of other shapes.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported: no banner in task logs
    gpus.configure_tensorflow()
    import keras

    architecture = getattr(keras.applications, spec.architecture)
    whole = spec.cut == WHOLE and spec.pooling in ("avg", "max")
    backbone = architecture(
        input_shape=spec.input_shape, include_top=False, weights=None, pooling=spec.pooling if whole else None
    )
    model = backbone if whole else _cut(backbone, spec)
    layers = weighted(backbone)
    set_arrays(layers if len(arrays) == len(layers) else weighted(model), arrays, spec)
    return model


def weighted(model: Any) -> list[Any]:
    """The layers of a Keras model that have weights, in the order in which Keras saves them."""
    return [layer for layer in model.layers if layer.weights]


def variables(layer: Any) -> list[Any]:
    """The weights of a layer in the order in which Keras' HDF5 files have them."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def as_in_imagenet(spec: ModelSpec, arrays: Arrays) -> Arrays:
    """The arrays for a backbone that Keras builds without its own weights. arrays: as the official file has them.

    With weights="imagenet" Keras adds a layer to EfficientNet (not V2) that divides each channel by the square root of
    its standard deviation, once more. The same follows from another variance in the layer before it.
    """
    first = next(iter(arrays), "")
    if not re.fullmatch(r"EfficientNetB\d", spec.architecture) or len(arrays[first]) != 3:
        return arrays
    mean, variance, count = arrays[first]
    return arrays | {first: [mean, variance * np.array([0.229, 0.224, 0.225], np.float32), count]}


def _cut(backbone: Any, spec: ModelSpec) -> Any:
    """The backbone up to the spec's cut, and its pooling. Raises ModelMismatch when there is no such layer."""
    import keras

    names = [layer.name for layer in backbone.layers]
    if spec.cut not in (WHOLE, *names):
        near = difflib.get_close_matches(spec.cut, names, 3) or names[-3:]
        raise ModelMismatch(f"model.cut: {spec.architecture} has no layer {spec.cut}; did you mean {', '.join(near)}?")
    output = backbone.output if spec.cut == WHOLE else backbone.get_layer(spec.cut).output
    pooling = {
        "avg": keras.layers.GlobalAveragePooling2D,
        "max": keras.layers.GlobalMaxPooling2D,
        "flatten": keras.layers.Flatten,
    }
    if spec.pooling != "none":
        output = pooling[spec.pooling]()(output)
    if len(output.shape) != 2:
        raise ModelMismatch(f"model.pooling: the output of {spec.cut} is {output.shape}, no vector; choose a pooling")
    return keras.Model(backbone.input, output)


def set_arrays(layers: list[Any], arrays: Arrays, spec: ModelSpec) -> None:
    """Give the layers their arrays, one after the other. Raises ModelMismatch where number or shapes differ."""
    head = f"MODEL_MISMATCH: the weights are not those of {spec.architecture}"
    for layer, (name, own) in zip(layers, arrays.items(), strict=False):
        wanted, found = [tuple(v.shape) for v in variables(layer)], [array.shape for array in own]
        if wanted != found:
            raise ModelMismatch(f"{head}: layer {name} has arrays of shape {found}, {layer.name} has {wanted}")
        for variable, array in zip(variables(layer), own, strict=True):
            variable.assign(array)
        if hasattr(layer, "finalize_state"):  # a Normalization computes with a copy of its weights
            layer.finalize_state()
    if len(layers) > len(arrays):
        raise ModelMismatch(f"{head}: layer {layers[len(arrays)].name} is missing, after {len(arrays)} others")
    if len(layers) < len(arrays):
        raise ModelMismatch(f"{head}: layer {list(arrays)[len(layers)]} is too many, after {len(layers)} others")


def vectors(model: Any, spec: ModelSpec, pixels: np.ndarray) -> np.ndarray:
    """The model's vectors, float32 [n, width], of pixels, of the spec's input_type, [n, *input_shape].

    One image at a time: Keras holds what every layer gives until the last one has answered, up to 600 MB an image.
    """
    images = (pixels[index : index + 1] for index in range(len(pixels)))
    return np.concatenate([model(scaled(image, spec.value_scale), training=False).numpy() for image in images])


def scaled(pixels: np.ndarray, scale: ValueScale) -> np.ndarray:
    """Pixels [n, height, width, channels] to the float32 that the model takes, in its order of channels."""
    mean, std = np.array(scale.mean), np.array(scale.std)
    values = pixels[..., ::-1] if scale.order == "bgr" else pixels
    return values.astype(np.float32) / np.float32(std) - np.float32(mean / std)


def golden_pixels(shape: tuple[int, int, int]) -> np.ndarray:
    """Four pictures drawn by integer arithmetic, the same on every machine: uint8 [4, *shape].

    A ramp, stripes, discs and noise: between them they reach every filter of the first layers.
    """
    height, width, channels = shape
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    pixels = np.empty((4, *shape), np.uint8)
    for c in range(channels):  # one at a time: a model may take a thousand
        pixels[0, ..., c] = (x * (c + 1) + y * (3 - c)) * 255 // (max(height, width) * 5) % 256
        pixels[1, ..., c] = ((x * (c + 2) + y * 5) // 16 % 2) * (255 - 60 * c) % 256
        pixels[2, ..., c] = (((x - 60 - 30 * c) ** 2 + (y - height // 2) ** 2) // 900) * 53 % 256
        pixels[3, ..., c] = (x * 7919 + y * 104729 + c * 1299709) ** 2 // 64 % 256
    return pixels


def golden_inputs(spec: ModelSpec) -> np.ndarray:
    """`golden_pixels` in the type that the model's input takes: of input_type, [4, *input_shape].

    uint16 has the same pictures over all of its range. float32 has them so that they are scaled to -1 to 1.
    """
    pixels = golden_pixels(spec.input_shape)
    if spec.input_type == "uint16":
        return pixels * np.uint16(257)
    if spec.input_type == "float32":
        mean, std = (np.array(numbers, np.float32) for numbers in (spec.value_scale.mean, spec.value_scale.std))
        return mean + std * (pixels.astype(np.float32) / np.float32(127.5) - 1)
    return pixels


def kept_golden_vectors(spec: ModelSpec) -> np.ndarray | None:
    """The reference's vectors of `golden_pixels` when this version was released: float32 [4, width].

    The package has them for its own models; None for any other.
    """
    path = GOLDEN / f"{spec.name}.npy"
    ours = spec.format == "keras-applications"  # weights of a file may have a backbone's name
    return np.load(path, allow_pickle=False) if ours and path.is_file() else None


def check_parity(name: str, vectors: np.ndarray, expected: np.ndarray, *, by_size: bool = False) -> dict[str, float]:
    """Compare vectors, float32 [n, width], with the expected ones. Raises ModelMismatch beyond the tolerances.

    by_size: where the largest expected value is above 1, the difference may be as many times as large. Where an
    expected vector is all zeros, as after a ReLU, it has no direction, and the difference alone counts.
    """
    most = MOST_ABSOLUTE_DIFFERENCE * (max(1.0, float(np.abs(expected).max())) if by_size else 1.0)
    difference = float(np.abs(vectors - expected).max())
    # In float64: squares of what float32 holds may be beyond what float32 holds, and then any vectors would pass.
    found, wanted = vectors.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    cosines = np.where(wanted.any(axis=1), 0.0, 1.0)
    with np.errstate(invalid="ignore"):  # values that are not finite are found by the difference
        np.divide((found * wanted).sum(axis=1), lengths, out=cosines, where=lengths != 0)
    cosine = float(cosines.min())
    if not (difference <= most and cosine >= LEAST_COSINE):
        raise ModelMismatch(
            f"MODEL_MISMATCH: {name} differs by {difference:.2g} (at most {most:.3g}), "
            f"cosine {cosine:.7f} (at least {LEAST_COSINE})"
        )
    return {"max_absolute_difference": difference, "min_cosine": cosine}
