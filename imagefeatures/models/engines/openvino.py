"""OpenVINO on the CPU in float32."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from imagefeatures.models.engines import Bundle
    from imagefeatures.models.spec import ModelSpec

XML, BIN = "model.xml", "model.bin"

SETTINGS = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "INFERENCE_PRECISION_HINT": "f32",  # bf16, the default on CPUs that have it, is wrong by up to 0.1 in cosine
    "ENABLE_CPU_PINNING": False,  # with pinning all workers of a machine run on the same core
}


def export(model: Any, spec: ModelSpec) -> dict[str, bytes]:
    """The Keras model as OpenVINO files whose input is the stored pixels of one image: scaling is part of the graph."""
    import openvino as ov

    return as_files(ov.convert_model(model, input=[1, *spec.input_shape]), spec)


def as_files(model: Any, spec: ModelSpec) -> dict[str, bytes]:
    """An openvino.Model as such files. model: float32 input of one scaled image in the spec's layout, one output."""
    import openvino as ov
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type(np.dtype(spec.input_type))).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout(spec.layout.upper()))
    scaling = steps.input().preprocess().convert_element_type(ov.Type.f32)
    scale = spec.value_scale
    if scale.order == "bgr":
        scaling.reverse_channels()
    scaling.mean(list(scale.mean) if len(scale.mean) > 1 else scale.mean[0])
    scaling.scale(list(scale.std) if len(scale.std) > 1 else scale.std[0])
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        path = Path(folder) / XML
        ov.save_model(steps.build(), path, compress_to_fp16=False)
        return {XML: path.read_bytes(), BIN: path.with_suffix(".bin").read_bytes()}


def load(bundle: Bundle) -> OpenVino:
    """Compile the model for this CPU."""
    return OpenVino(bundle.files[XML], bundle.files[BIN])


class OpenVino:
    """A compiled model for one image at a time. xml, weights: the files that `export` makes."""

    def __init__(self, xml: bytes, weights: bytes) -> None:
        core = _core()
        compiled = core.compile_model(core.read_model(model=xml, weights=weights), "CPU", SETTINGS)
        self._request = compiled.create_infer_request()
        self._width = compiled.output(0).shape[1]

    def features(self, pixels: np.ndarray) -> np.ndarray:
        vectors = np.empty((len(pixels), self._width), np.float32)
        for index in range(len(pixels)):
            image = pixels[index : index + 1]
            vectors[index] = self._request.infer({0: image}, share_inputs=True, share_outputs=True)[0][0]
        return vectors


@lru_cache(1)
def _core() -> Any:
    import openvino

    return openvino.Core()
