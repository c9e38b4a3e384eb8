"""Answers with anything in them: vectors, or one of the two errors that are meant."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.serving.client import Answer, Client, Request
from imagefeatures.models.serving.connect import connect
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.models.spec import Served
from imagefeatures.storage.retry import Transient

SERVED = Served(model="birds", version="1", output="features", datatype="uint8")
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 3, 2**70, 1e400, float("nan"), "", "features", "a\nb", "FP16", [], {}, [[]], [None] * 12,
    {"a": {}}, [[1.0] * 6] * 2, "9" * 5000,
)  # fmt: skip


def changed(content: Any, chance: random.Random) -> Any:
    """The same with one place in it replaced, removed or put twice."""
    if isinstance(content, dict | list) and content and chance.random() < 0.8:
        key = chance.choice(list(content) if isinstance(content, dict) else range(len(content)))
        copy = content.copy()
        way = chance.random()
        if way < 0.15:
            del copy[key]
        elif way < 0.25 and isinstance(copy, list):
            copy.append(copy[key])
        else:
            copy[key] = changed(copy[key], chance)
        return copy
    return chance.choice(ODD)


@pytest.mark.parametrize("protocol", ["kserve", "tensorflow"])
def test_an_answer_is_vectors_or_a_known_error(protocol: str) -> None:
    engine = ServedEngine.model_validate({"serving": "http://127.0.0.1:9", "protocol": protocol, "model": "birds"})
    server = connect(engine, Client(engine))
    chance = random.Random(11)
    vectors = np.arange(12, dtype="<f4").reshape(2, 6)
    tensor = {"name": "features", "datatype": "FP32", "shape": [2, 6]}
    usual: dict[str, Any] = {"predictions": vectors.tolist(), "id": "7", "model_version": "1"}
    ends = {"vectors": 0, "Transient": 0, "ModelMismatch": 0}
    for _ in range(3000):
        binary = chance.random() < 0.5
        about = {"parameters": {"binary_data_size": 48}} if binary else {"data": vectors.ravel().tolist()}
        content = changed(usual | {"outputs": [tensor | about]}, chance)
        head = json.dumps(content).encode()
        body = head + (vectors.tobytes() if binary else b"")
        headers = {"inference-header-content-length": str(len(head))} if binary else {}
        if chance.random() < 0.2:
            body = body[: chance.randrange(len(body) + 1)]
        if chance.random() < 0.1:
            headers = {"inference-header-content-length": chance.choice(["", "-1", "9" * 5000, "x", "99"])}
        try:
            found, version = server.read(Answer(body, headers), Request("/", id="7"), SERVED, 2)
        except (Transient, ModelMismatch) as error:
            assert "\n" not in str(error)
            ends[type(error).__name__] += 1
        else:
            assert (found.dtype, found.shape[0], found.ndim, type(version)) == (np.float32, 2, 2, str)
            ends["vectors"] += 1
    assert min(ends.values()) > 100


def test_a_description_is_read_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    chance, ends = random.Random(3), {"about": 0, "ModelMismatch": 0, "Transient": 0}
    tensor = {"name": "image", "datatype": "UINT8", "shape": [-1, 32, 24, 3]}
    signature = {
        "inputs": {"image": {"dtype": "DT_UINT8", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "32"}]}}},
        "outputs": {"features": {}},
    }
    usual = {
        "inputs": [tensor], "outputs": [{"name": "features"}], "versions": ["1"],
        "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
        "model_version_status": [{"version": "1", "state": "AVAILABLE"}],
    }  # fmt: skip
    for protocol in ("kserve", "tensorflow"):
        engine = ServedEngine.model_validate({"serving": "http://127.0.0.1:9", "protocol": protocol, "model": "birds"})
        client = Client(engine)
        for _ in range(1500):
            body = json.dumps(changed(usual, chance)).encode()
            monkeypatch.setattr(client, "ask", lambda request, read=Answer.json, body=body: read(Answer(body)))
            try:
                found = connect(engine, client).about()
            except (ModelMismatch, Transient) as error:
                assert "\n" not in str(error)
                ends[type(error).__name__] += 1
            else:
                assert isinstance(found.version, str)
                assert isinstance(found.datatype, str)
                ends["about"] += 1
    assert min(ends.values()) > 50
