"""Weights from a seed, for models whose own are not at hand; and the vectors that Keras' own functions give.

A file is written by Keras' own writer, in the format of its official files. Vectors then vary from image to image as
those of a trained model do: kernels are drawn as He et al. propose, and what a BatchNormalization layer has seen is
taken from a pass over images.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from imagefeatures.models import reference
from imagefeatures.models.spec import ModelSpec

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def write_weights(spec: ModelSpec, path: Path, seed: int = 0) -> None:
    """Write the backbone's weights as a legacy Keras HDF5 file without a classifier."""
    keras = _keras()
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    architecture = getattr(keras.applications, spec.architecture)
    model = architecture(input_shape=spec.input_shape, include_top=False, weights=None, pooling="avg")
    random = np.random.default_rng(seed)
    normalization = None
    for layer in model.layers:
        for variable in layer.weights:
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D) or variable.name == "depthwise_kernel"
            variable.assign(_drawn(variable.name, tuple(variable.shape), depthwise, random))
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            normalization = layer
            layer.adapt_mean.assign(IMAGENET_MEAN)
            layer.adapt_variance.assign(np.power(IMAGENET_STD, 3))  # with the layer that Keras adds for such weights
            layer.finalize_state()
    if spec.scale == "caffe":  # its input has values above 100
        first = next(layer for layer in model.layers if layer.weights)
        first.weights[0].assign(first.weights[0] / 64)
    _calibrate(model, spec)
    if normalization:
        normalization.adapt_variance.assign(np.square(IMAGENET_STD))
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


def vectors_of_keras(spec: ModelSpec, path: Path, pixels: np.ndarray) -> np.ndarray:
    """What a careful user of Keras gets: float32 [n, width].

    The model is Keras' with weights="imagenet", which are those of the file; pixels, uint8 [n, *input_shape], are
    scaled by the preprocess_input of the architecture's own module. Nothing of this package takes part.
    """
    keras = _keras()
    from keras.src.utils import file_utils

    architecture, size = getattr(keras.applications, spec.architecture), spec.input_shape
    download, file_utils.get_file = file_utils.get_file, lambda *_, **__: str(path)
    try:
        whole = not spec.last_layer  # else other layers follow in the file
        weights = "imagenet" if whole else None
        model = architecture(input_shape=size, include_top=False, weights=weights, pooling="avg")
        if not whole:
            model.load_weights(path, by_name=True)
    finally:
        file_utils.get_file = download
    module = importlib.import_module(f"keras.applications.{_MODULES.get(spec.name, spec.name)}")
    found = [
        model(module.preprocess_input(pixels[index : index + 1].astype(np.float32)), training=False).numpy()
        for index in range(len(pixels))
    ]
    return np.concatenate(found)


_MODULES = {
    "mobilenet_v3_small": "mobilenet_v3",
    "mobilenet_v3_large": "mobilenet_v3",
    **{f"efficientnet_b{number}": "efficientnet" for number in range(4)},
    "efficientnet_v2_b0": "efficientnet_v2",
    "efficientnet_v2_s": "efficientnet_v2",
    "resnet101": "resnet",
    "resnet50": "resnet",
    "resnet50_v2": "resnet_v2",
    "densenet121": "densenet",
    "nasnet_mobile": "nasnet",
    "convnext_tiny": "convnext",
}
"""The modules of keras.applications that are not named as the model is here."""


def _keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
    import keras

    return keras


def _drawn(name: str, shape: tuple[int, ...], depthwise: bool, random: np.random.Generator) -> np.ndarray:
    """Values for one variable of a layer. depthwise: each of its kernels sees one channel."""
    if "kernel" in name:
        inputs = int(np.prod(shape[:2] if depthwise else shape[:-1]))
        return random.normal(0, np.sqrt(2 / inputs), shape)
    if name in ("gamma", "variance", "moving_variance"):  # ConvNeXt's LayerScale has a gamma too
        return random.uniform(0.5, 1.5, shape)
    if name == "count":
        return np.zeros(shape)
    return random.normal(0, 0.1, shape)  # bias, beta, mean, moving_mean


def pictures(spec: ModelSpec) -> np.ndarray:
    """Two photos of scikit-learn and the golden pictures: uint8 [6, *input_shape]."""
    import sklearn.datasets
    from PIL import Image

    folder = Path(sklearn.datasets.__file__).parent / "images"
    photos = np.stack([spec.preprocessing(Image.open(folder / name)) for name in ("china.jpg", "flower.jpg")])
    return np.concatenate([photos, reference.golden_pixels(spec.input_shape)])


def _calibrate(model: Any, spec: ModelSpec) -> None:
    """Let each BatchNormalization know the mean and the variance that its own input has, of eight images."""
    import keras
    import tensorflow as tf

    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not layers:
        return
    height, width, channels = spec.input_shape
    squares = np.random.default_rng(1).integers(0, 256, (2, height // 16 + 1, width // 16 + 1, channels), np.uint8)
    smooth = squares.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    images = reference.scaled(np.concatenate([pictures(spec), smooth]), spec.value_scale)
    momentum = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0  # else it would remember what it had before
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # else what is drawn here would be another network than the one that is saved
    # As a graph: called directly, Keras holds what every layer gives for all images until the last one has answered.
    tf.function(lambda given: model(given, training=True))(images)
    for layer, before in zip(layers, momentum, strict=True):
        layer.momentum = before
