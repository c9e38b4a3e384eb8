"""The Open Inference Protocol, which KServe calls V2, by HTTP: Triton, OpenVINO Model Server, MLServer, KServe.

Tensors are sent and asked for in its binary form. A server that answers in JSON nevertheless, as KServe does, is read.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.serving.client import Answer, Client, Request
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.models.serving.server import About, as_vectors, chosen, path_of
from imagefeatures.models.spec import Served
from imagefeatures.reasons import printable
from imagefeatures.storage.retry import Transient

HEADER = "inference-header-content-length"
"""The header that says how many bytes of a body are JSON; the tensors follow."""

DATATYPES = {"UINT8": "uint8", "FP32": "float32", "BYTES": "string"}
FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}


class KServe:
    """One model of a server. See `server.Server`."""

    def __init__(self, engine: ServedEngine, client: Client) -> None:
        self._engine, self._client, self._path = engine, client, path_of(engine, "v2")

    def about(self) -> About:
        content = self._client.ask(Request(self._path))
        try:
            inputs = {str(given["name"]): given for given in content.get("inputs") or ()}
            outputs = [str(given["name"]) for given in content.get("outputs") or ()]
            name = chosen(self._engine, "input", self._engine.input, list(inputs))
            given = inputs.get(name, {})
            shape = tuple(int(side) if int(side) > 0 else None for side in given.get("shape", ()))
            return About(
                version=self._version(content),
                input=name,
                datatype=DATATYPES.get(given.get("datatype", ""), str(given.get("datatype", ""))),
                shape=shape[1:] or None,
                output=chosen(self._engine, "cut", self._engine.cut, outputs),
            )
        except (KeyError, TypeError, ValueError):
            raise ModelMismatch(
                f"engine.protocol: what the model server at {self._engine} says of it is not of the Open Inference "
                "Protocol"
            ) from None

    def version(self) -> str:
        return self._version(self._client.ask(Request(self._path)))

    def ready(self) -> bool:
        return self._client.once(f"{self._path}/ready")[0] == 200

    def request(self, values: np.ndarray | list[bytes], served: Served, most: int) -> Request:
        if isinstance(values, list):
            data = b"".join(len(png).to_bytes(4, "little") + png for png in values)
            shape, datatype = [len(values), *[1] * (served.axes - 1)], "BYTES"
        else:
            data, shape = np.ascontiguousarray(values).tobytes(), list(values.shape)
            datatype = "UINT8" if served.datatype == "uint8" else "FP32"
        tensor = {"name": served.input, "shape": shape, "datatype": datatype}
        content: dict[str, Any] = {
            "id": uuid.uuid4().hex,
            "inputs": [tensor | {"parameters": {"binary_data_size": len(data)}}],
        }
        if served.output:
            content["outputs"] = [{"name": served.output, "parameters": {"binary_data": True}}]
        else:
            content["parameters"] = {"binary_data_output": True}
        head = json.dumps(content).encode()
        headers = {"Content-Type": "application/octet-stream", HEADER: str(len(head))}
        return Request(f"{self._path}/infer", most, head + data, headers, id=content["id"])

    def read(self, answer: Answer, asked: Request, served: Served, count: int) -> tuple[np.ndarray, str]:
        length = answer.headers.get(HEADER, str(len(answer.body)))
        head = int(length) if re.fullmatch("[0-9]{1,12}", length) else -1
        if not 0 <= head <= len(answer.body):
            raise Transient(f"an answer whose {HEADER} is not within it")
        content = answer.json(answer.body[:head])
        if content.get("id") not in (None, "", asked.id):
            raise Transient("the answer to another request")
        try:
            outputs, at = {}, head
            for tensor in content["outputs"]:
                size = (tensor.get("parameters") or {}).get("binary_data_size")
                if size is not None and not 0 <= size <= len(answer.body) - at:
                    raise Transient("an answer that ends before its tensors")
                outputs[str(tensor["name"])] = (tensor, None if size is None else answer.body[at : at + size])
                at += size or 0
            name = chosen(self._engine, "cut", served.output or None, list(outputs))
            values = _values(*outputs[name])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelMismatch(
                f"engine: the model server at {self._engine} answers with what is no tensor of numbers "
                f"({type(error).__name__})"
            ) from None
        return as_vectors(self._engine, values, count), printable(content.get("model_version") or "")

    def _version(self, content: dict[str, Any]) -> str:
        versions = content.get("versions")
        return self._engine.version or printable(",".join(map(str, versions if isinstance(versions, list) else [])))


def _values(tensor: dict[str, Any], data: bytes | None) -> np.ndarray:
    """The numbers of a tensor in its own shape. data: None where they stand in the JSON."""
    kind = FLOATS[tensor["datatype"]]  # KeyError: whole numbers are no features, and BF16 has seven bits
    flat = np.asarray(tensor["data"], np.float64).reshape(-1) if data is None else np.frombuffer(data, kind)
    return flat.reshape([int(side) for side in tensor["shape"]])
