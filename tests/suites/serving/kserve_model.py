"""A model served by KServe: kserve_model.py PORT XML STATE, run by the Python of .bench/serving.

XML: an OpenVINO model of uint8 pixels, with its .bin beside it. It is `pixels` on the server, takes uint8 in the Open
Inference Protocol and lists in predict; and `encoded`, which takes PNGs. STATE: a file with the version that the
server says, read at each request, and the factor of its vectors.
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import kserve
import numpy as np
import openvino as ov
from PIL import Image

PORT, XML, STATE = sys.argv[1:]


class Served(kserve.Model):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        core = ov.Core()
        model = core.read_model(XML)
        self.side = list(model.input(0).shape)[1:]
        model.reshape([-1, *self.side])
        settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        self.model = core.compile_model(model, "CPU", settings | {"ENABLE_CPU_PINNING": False})
        self.width = self.model.output(0).partial_shape[1].get_length()
        self.ready = True

    async def get_input_types(self) -> list[dict]:
        if self.name == "encoded":
            return [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
        return [{"name": "image", "datatype": "UINT8", "shape": [-1, *self.side]}]

    async def get_output_types(self) -> list[dict]:
        return [{"name": "features", "datatype": "FP32", "shape": [-1, self.width]}]

    async def predict(self, payload, headers=None, response_headers=None):
        version, factor = Path(STATE).read_text().split()
        if isinstance(payload, dict):
            given = payload["instances"]
            if isinstance(given[0], dict):
                pixels = decoded([base64.b64decode(one["b64"]) for one in given])
            else:
                pixels = np.array(given, np.uint8)
            return {"predictions": self.vectors(pixels, float(factor)).tolist()}
        values = payload.inputs[0].as_numpy()
        pixels = decoded(list(values.ravel())) if self.name == "encoded" else values
        vectors = self.vectors(pixels, float(factor))
        output = kserve.InferOutput("features", list(vectors.shape), "FP32")
        output.set_data_from_numpy(vectors, binary_data=True)
        return kserve.InferResponse(
            payload.id, self.name, [output], model_version=version,
            use_binary_outputs=True, requested_outputs=payload.request_outputs,
        )  # fmt: skip

    def vectors(self, pixels: np.ndarray, factor: float) -> np.ndarray:
        return self.model(pixels)[0].copy() * np.float32(factor)


def decoded(pngs: list[bytes]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) for png in pngs])


if __name__ == "__main__":
    server = kserve.ModelServer(http_port=int(PORT), enable_grpc=False, enable_docs_url=False, access_log_format=None)
    server.start([Served("pixels"), Served("encoded")])
