"""TensorFlow Serving's predict by REST, which KServe calls V1: instances in, predictions out, all of it JSON.

PNGs are sent as TensorFlow Serving takes strings of bytes: {"b64": …}. Pixels are lists of lists of numbers, ten times
as many bytes.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.serving.client import Answer, Client, Request
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.models.serving.server import About, as_vectors, chosen, path_of
from imagefeatures.models.spec import Served
from imagefeatures.reasons import printable
from imagefeatures.storage.retry import Transient

DATATYPES = {"DT_UINT8": "uint8", "DT_FLOAT": "float32", "DT_STRING": "string"}
DEFAULT_SIGNATURE = "serving_default"


class Predict:
    """One model of a server. See `server.Server`."""

    def __init__(self, engine: ServedEngine, client: Client) -> None:
        self._engine, self._client, self._path = engine, client, path_of(engine, "v1")

    def about(self) -> About:
        version = self.version()
        content = self._client.ask(Request(f"{self._path}/metadata", optional=True))
        if not content:  # KServe has none
            return About(version, self._engine.input or "", output=self._engine.cut or "")
        try:
            signatures = content["metadata"]["signature_def"]["signature_def"]
            wanted = self._engine.signature or DEFAULT_SIGNATURE
            signature = signatures[chosen(self._engine, "signature", wanted, list(signatures))]
            name = chosen(self._engine, "input", self._engine.input, list(signature["inputs"]))
            given = signature["inputs"][name]
            sides = [int(side["size"]) for side in given["tensor_shape"].get("dim", ())]
            return About(
                version=version,
                input=name,
                datatype=DATATYPES.get(given["dtype"], str(given["dtype"])),
                shape=tuple(side if side > 0 else None for side in sides[1:]) or None,
                output=chosen(self._engine, "cut", self._engine.cut, list(signature["outputs"])),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ModelMismatch(
                f"engine.protocol: what the model server at {self._engine} says of it is not of TensorFlow Serving"
            ) from None

    def version(self) -> str:
        return str(self._client.ask(Request(self._path), self._available))

    def ready(self) -> bool:
        status, answer = self._client.once(self._path)
        return status == 200 and self._available(answer) is not None

    def _available(self, answer: Answer) -> str:
        """The version that answers now. Raises Transient where none is ready."""
        content = answer.json()
        versions = content.get("model_version_status")
        if not isinstance(versions, list):  # KServe says {"name": …, "ready": …}, and no version
            if content.get("ready") is False:
                raise Transient("its model is not ready")
            return self._engine.version or ""
        known = [given for given in versions if isinstance(given, dict)]
        served = [printable(given.get("version")) for given in known if given.get("state") == "AVAILABLE"]
        if not served:
            raise Transient("no version of its model is available")
        return self._engine.version or max(served, key=lambda version: (len(version), version))

    def request(self, values: np.ndarray | list[bytes], served: Served, most: int) -> Request:
        given: list[Any]
        if isinstance(values, list):
            given = [{"b64": base64.b64encode(png).decode()} for png in values]
        elif served.datatype == "uint8":
            given = values.tolist()
        else:  # six digits: the error is a thirtieth of what float32 has at 255, and a number has half the letters
            given = np.round(values.astype(np.float64), 6).tolist()
        content: dict[str, Any] = {"instances": [{served.input: one} for one in given] if served.input else given}
        if served.signature:
            content["signature_name"] = served.signature
        body = json.dumps(content, separators=(",", ":")).encode()
        return Request(f"{self._path}:predict", most, body, {"Content-Type": "application/json"})

    def read(self, answer: Answer, asked: Request, served: Served, count: int) -> tuple[np.ndarray, str]:
        content = answer.json()
        if "predictions" not in content:
            raise Transient("an answer without predictions")
        try:
            predictions = [self._one(given, served) for given in content["predictions"]]
            values = np.asarray(predictions, np.float64)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelMismatch(
                f"engine: the model server at {self._engine} answers with what is no list of vectors "
                f"({type(error).__name__})"
            ) from None
        return as_vectors(self._engine, values, count), ""

    def _one(self, given: Any, served: Served) -> Any:
        """The prediction of one picture: of a model with several outputs it is a mapping."""
        if not isinstance(given, dict):
            return given
        return given[chosen(self._engine, "cut", served.output or None, list(given))]
