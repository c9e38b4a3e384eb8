"""A model server of the tests' own, on a free port: it speaks both protocols, and misbehaves where a test wants it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

SIZE = (32, 24)
"""Height and width of the pictures that the small model takes."""


@dataclass(frozen=True)
class Reply:
    """What a server says: status, body, headers. cut: so many bytes of the body are missing when it hangs up."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int = 0


Fault = Callable[[str, Reply], Reply | None]
"""path, and what would be answered: what is answered in its place. None: that reply."""


def small_model(values: np.ndarray) -> np.ndarray:
    """values: [n, height, width, channels]. Returns float32 [n, 6]: mean and standard deviation of each channel."""
    values = np.asarray(values, np.float64)
    return np.concatenate([values.mean(axis=(1, 2)), values.std(axis=(1, 2))], axis=1).astype(np.float32)


@dataclass
class ModelServer:
    """A server of one model, `birds`. All fields may be changed while it runs.

    shape: of its input, without the batch, as its metadata has it. datatype: UINT8, FP32 or BYTES; empty where it does
    not say. binary: whether tensors are answered as bytes. says_version: whether answers name their version. beside: so
    many values has every output but the last one, which is the model's; None: they are the model's too.
    """

    model: Callable[[np.ndarray], np.ndarray] = small_model
    version: str = "1"
    shape: tuple[int, ...] = (*SIZE, 3)
    datatype: str = "UINT8"
    outputs: tuple[str, ...] = ("features",)
    beside: int | None = None
    binary: bool = True
    says_version: bool = True
    metadata: bool = True
    ready: bool = True
    fault: Fault | None = None
    seconds: float = 0.0
    address: str = ""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    predictions: int = 0
    most_at_once: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def engine(self, protocol: str = "kserve", **fields: Any) -> dict[str, Any]:
        """The field `engine` of a dataset file that names this server."""
        return {"serving": self.address, "protocol": protocol, "model": "birds", **fields}

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        self.requests.append((path, headers, body))
        predicts = path.endswith((":predict", "/infer"))
        with self._lock:
            self.predictions += predicts
            self._now += predicts
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            if predicts:
                time.sleep(self.seconds)
            reply = self._answer(path, headers, body)
            changed = self.fault(path, reply) if self.fault else None
            return reply if changed is None else changed
        finally:
            with self._lock:
                self._now -= predicts

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        if not path.startswith(("/v1/models/birds", "/v2/models/birds")):
            return as_json({"error": "there is no such model"}, 404)
        if not self.ready:
            return as_json({"error": "birds is not ready"}, 400)
        if path.endswith("/infer"):
            return self._infer(headers, body)
        if path.endswith(":predict"):
            return self._predict(json.loads(body))
        if path.startswith("/v2"):
            tensor = {"name": "image", "datatype": self.datatype, "shape": [-1, *self.shape]}
            outputs = [{"name": name, "datatype": "FP32", "shape": [-1, 6]} for name in self.outputs]
            about = {"inputs": [tensor], "outputs": outputs, "versions": [self.version]}
            return as_json({"name": "birds"} | (about if self.metadata else {}))
        if path.endswith("/metadata"):
            return self._signature() if self.metadata else as_json({"detail": "Not Found"}, 404)
        states = [{"version": self.version, "state": "AVAILABLE"}, {"version": "99", "state": "LOADING"}]
        return as_json({"model_version_status": states} if self.metadata else {"name": "birds", "ready": True})

    def _signature(self) -> Reply:
        kind = {"UINT8": "DT_UINT8", "FP32": "DT_FLOAT", "BYTES": "DT_STRING"}[self.datatype]
        dims = [{"size": str(side)} for side in (-1, *self.shape)]
        inputs = {"image": {"dtype": kind, "tensor_shape": {"dim": dims}}}
        outputs = {name: {"dtype": "DT_FLOAT"} for name in self.outputs}
        definition = {"serving_default": {"inputs": inputs, "outputs": outputs}}
        return as_json({"metadata": {"signature_def": {"signature_def": definition}}})

    def _infer(self, headers: dict[str, str], body: bytes) -> Reply:
        head = int(headers["inference-header-content-length"])
        asked, data = json.loads(body[:head]), body[head:]
        (tensor,) = asked["inputs"]
        assert tensor["parameters"]["binary_data_size"] == len(data)
        if tensor["datatype"] == "BYTES":
            values = decoded(list(strings(data)))
        else:
            kind = {"UINT8": np.uint8, "FP32": np.dtype("<f4")}[tensor["datatype"]]
            values = np.frombuffer(data, kind).reshape(tensor["shape"])
        vectors = self.model(values)
        output: dict[str, Any] = {"name": self.outputs[-1], "datatype": "FP32", "shape": list(vectors.shape)}
        content = {"id": asked["id"], "outputs": [output]} | (
            {"model_version": self.version} if self.says_version else {}
        )
        if not self.binary:
            return as_json(content | {"outputs": [output | {"data": vectors.ravel().tolist()}]})
        raw = vectors.astype("<f4").tobytes()
        text = json.dumps(content | {"outputs": [output | {"parameters": {"binary_data_size": len(raw)}}]}).encode()
        return Reply(200, text + raw, {"Inference-Header-Content-Length": str(len(text))})

    def _predict(self, asked: dict[str, Any]) -> Reply:
        given = [one["image"] if isinstance(one, dict) and "image" in one else one for one in asked["instances"]]
        if isinstance(given[0], dict):
            values = decoded([base64.b64decode(one["b64"]) for one in given])
        else:
            values = np.array(given)
        vectors = self.model(values).tolist()
        if len(self.outputs) == 1:
            return as_json({"predictions": vectors})
        others = None if self.beside is None else [index / 7 for index in range(self.beside)]
        several = (dict.fromkeys(self.outputs[:-1], others or one) | {self.outputs[-1]: one} for one in vectors)
        return as_json({"predictions": list(several)})


def as_json(content: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json", **headers})


def strings(data: bytes) -> Iterator[bytes]:
    """The strings of a BYTES tensor."""
    while data:
        (length,) = struct.unpack_from("<I", data)
        yield data[4 : 4 + length]
        data = data[4 + length :]


def decoded(pngs: list[bytes]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in pngs])


@contextlib.contextmanager
def serving(server: ModelServer, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[ModelServer]:
    """The server, listening until the context ends; with tls by https."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            reply = server.answer(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # the client may have hung up, as it should at an endless answer
                self.wfile.write(reply.body[: len(reply.body) - reply.cut])
            if reply.cut:
                self.close_connection = True

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    listening.daemon_threads = True
    if tls:
        listening.socket = tls.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.address = f"{'https' if tls else 'http'}://127.0.0.1:{listening.server_port}"
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
