"""A model served by Triton: triton_model.py PORT XML STATE, run by the Python of .bench/triton.

XML: an OpenVINO model of uint8 pixels, with its .bin beside it. It is `pixels` on the server, and `encoded`, which
takes PNGs. STATE is not read: Triton says its own version.
"""

from __future__ import annotations

import io
import sys

import numpy as np
import openvino as ov
from PIL import Image
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

PORT, XML = int(sys.argv[1]), sys.argv[2]

core = ov.Core()
read = core.read_model(XML)
side = list(read.input(0).shape)[1:]
read.reshape([-1, *side])
settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
model = core.compile_model(read, "CPU", settings | {"ENABLE_CPU_PINNING": False})
features = [Tensor(name="features", dtype=np.float32, shape=(model.output(0).partial_shape[1].get_length(),))]


@batch
def of_pixels(image: np.ndarray) -> dict[str, np.ndarray]:
    return {"features": model(image)[0].copy()}


@batch
def of_pngs(image: np.ndarray) -> dict[str, np.ndarray]:
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in image.ravel()])
    return {"features": model(pixels)[0].copy()}


if __name__ == "__main__":
    here = {"http_address": "127.0.0.1", "grpc_address": "127.0.0.1"}
    with Triton(config=TritonConfig(http_port=PORT, allow_grpc=False, allow_metrics=False, **here)) as triton:
        config = ModelConfig(max_batch_size=64)
        pixels = Tensor(name="image", dtype=np.uint8, shape=tuple(side))
        triton.bind("pixels", of_pixels, inputs=[pixels], outputs=features, config=config)
        encoded = Tensor(name="image", dtype=bytes, shape=(1,))
        triton.bind("encoded", of_pngs, inputs=[encoded], outputs=features, config=config)
        triton.serve()
