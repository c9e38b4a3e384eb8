"""What a model server may do wrong: it fails the task or the run, in one line, and never a picture."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch, ServingError, ServingRefused, SettingsError
from imagefeatures.models.engines.serving import Serving
from support.hostile_http import certificate
from support.model_servers import SIZE, ModelServer, Reply, as_json, serving, small_model

Load = Callable[..., Serving]

PIXELS = np.random.default_rng(7).integers(0, 256, (8, *SIZE, 3), np.uint8)


def once(reply: Reply | Callable[[Reply], Reply]) -> Callable[[str, Reply], Reply | None]:
    """A fault of the first prediction alone."""
    left = [reply]

    def fault(path: str, usual: Reply) -> Reply | None:
        if not path.endswith((":predict", "/infer")) or not left:
            return None
        given = left.pop()
        return given(usual) if callable(given) else given

    return fault


def always(reply: Reply | Callable[[Reply], Reply]) -> Callable[[str, Reply], Reply | None]:
    def fault(path: str, usual: Reply) -> Reply | None:
        if not path.endswith((":predict", "/infer")):
            return None
        return reply(usual) if callable(reply) else reply

    return fault


def with_another_id(reply: Reply) -> Reply:
    return Reply(200, reply.body.replace(b'"id": "', b'"id": "x'), {
        "Inference-Header-Content-Length": str(int(reply.headers["Inference-Header-Content-Length"]) + 1)
    })  # fmt: skip


def with_tensor(**changes: object) -> Callable[[Reply], Reply]:
    """The usual answer, its tensor changed, all in JSON."""

    def change(reply: Reply) -> Reply:
        head = int(reply.headers["Inference-Header-Content-Length"])
        content, values = json.loads(reply.body[:head]), np.frombuffer(reply.body[head:], "<f4")
        (tensor,) = content["outputs"]
        plain = {"name": tensor["name"], "datatype": "FP32", "shape": tensor["shape"], "data": values.tolist()}
        return as_json(content | {"outputs": [plain | changes]})

    return change


@pytest.mark.parametrize("protocol", ["kserve", "tensorflow"])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, b"starting"),
        Reply(429, b"", {"Retry-After": "0"}),
        Reply(500, b'{"error": "out of memory"}'),
        Reply(504),
        Reply(200, b"<html>a proxy's page</html>"),
        Reply(200, b"[" * 60_000),
        lambda usual: Reply(usual.status, usual.body, usual.headers, cut=9),
    ],
    ids=["503", "429", "500", "504", "html", "deep", "cut"],
)  # fmt: skip
def test_what_may_pass_is_repeated_and_nothing_is_lost(
    server: ModelServer, loaded: Load, protocol: str, reply: Reply
) -> None:
    engine = loaded(protocol, deadline=20)
    server.predictions, server.fault = 0, once(reply)
    assert np.abs(engine.features(PIXELS) - small_model(PIXELS)).max() < 1e-4
    assert server.predictions == 3  # the batch, again, and the golden pictures


def test_an_answer_to_another_request_is_asked_for_again(server: ModelServer, loaded: Load) -> None:
    engine = loaded()
    server.fault = once(with_another_id)
    assert np.abs(engine.features(PIXELS) - small_model(PIXELS)).max() < 1e-4
    server.fault = always(with_another_id)
    with pytest.raises(ServingError, match="the answer to another request"):
        loaded(deadline=1)


def test_the_server_says_when_it_may_be_asked_again(server: ModelServer, loaded: Load) -> None:
    engine = loaded(deadline=20)
    server.fault = once(Reply(429, b"", {"Retry-After": "1"}))
    started = time.monotonic()
    engine.features(PIXELS)
    assert time.monotonic() - started > 1


@pytest.mark.parametrize("reply", [Reply(503, b"starting"), Reply(200, b"{"), Reply(429, b"", {"Retry-After": "900"})])
def test_a_server_that_stays_away_is_an_error_that_a_retry_may_help(
    server: ModelServer, loaded: Load, reply: Reply
) -> None:
    engine = loaded(deadline=1)
    server.fault = always(reply)
    started = time.monotonic()
    with pytest.raises(ServingError, match=rf"^the model server at {server.address}, model birds: no answer in 1 s \("):
        engine.features(PIXELS)
    assert time.monotonic() - started < 8


def test_a_server_that_accepts_and_never_answers_is_given_up_at_the_deadline(server: ModelServer, loaded: Load) -> None:
    engine = loaded(deadline=2)
    server.seconds = 30
    started = time.monotonic()
    with pytest.raises(ServingError, match=r"no (complete response|answer) in"):
        engine.features(PIXELS)
    assert time.monotonic() - started < 8


def test_a_server_that_comes_back_on_its_port_is_found_again(server: ModelServer, loaded: Load) -> None:
    with serving(ModelServer()) as other:
        server.address = other.address
        engine = loaded(deadline=30)
    port = int(other.address.rpartition(":")[2])
    with pytest.raises(ServingError, match="no connection"):
        loaded(deadline=1)
    with serving(ModelServer(ready=False), port) as again:  # as a server answers while it loads the model
        again.fault = lambda path, reply: setattr(again, "ready", True)
        assert np.abs(engine.features(PIXELS) - small_model(PIXELS)).max() < 1e-4
        assert again.predictions == 3


@pytest.mark.parametrize("protocol", ["kserve", "tensorflow"])
def test_a_500_for_the_golden_pictures_of_plan_is_final(server: ModelServer, loaded: Load, protocol: str) -> None:
    server.fault = always(Reply(500, b'{"error": "expected\\n3 axes"}'))
    with pytest.raises(ServingRefused, match=r"status 500 for /v\d/models/birds\S+: expected 3 axes$"):
        loaded(protocol)
    assert server.predictions == 1


def test_a_refusal_is_final_once_the_model_is_ready(server: ModelServer, loaded: Load) -> None:
    engine = loaded()
    server.predictions, server.fault = 0, always(as_json({"error": "no"}, 400))
    with pytest.raises(ServingRefused, match="status 400 for /v2/models/birds/infer: no"):
        engine.features(PIXELS)
    assert server.predictions == 2


def test_no_message_holds_the_token(server: ModelServer, loaded: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_SERVING_TOKEN", "canary-token")
    for status in (401, 403):
        server.fault = lambda path, reply, status=status: as_json({"error": "Bearer canary-token is none"}, status)
        with pytest.raises(ServingRefused, match="IMAGEFEATURES_SERVING_TOKEN") as refused:
            loaded()
        assert "canary" not in str(refused.value)
    monkeypatch.setenv("IMAGEFEATURES_SERVING_TOKEN", "canary\u2009token")
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_SERVING_TOKEN: holds a blank") as refused:
        loaded()
    assert "canary" not in str(refused.value)


def test_a_redirect_is_not_followed(server: ModelServer, loaded: Load) -> None:
    server.fault = lambda path, reply: Reply(307, b"", {"Location": "http://127.0.0.1:1/"})
    with pytest.raises(ServingRefused, match="status 307: it leads elsewhere, and is not followed"):
        loaded()
    assert len(server.requests) == 1


def test_a_certificate_is_trusted_only_where_it_is_said(
    server: ModelServer, loaded: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, authority = certificate(tmp_path, "127.0.0.1")
    tls.set_alpn_protocols(["http/1.1"])
    with serving(ModelServer(), tls=tls) as secure:
        server.address = secure.address
        with pytest.raises(ServingRefused, match=r"no trusted connection \(.*certificate.*\); see SSL_CERT_FILE$"):
            loaded()
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert np.abs(loaded().features(PIXELS) - small_model(PIXELS)).max() < 1e-4


@pytest.mark.parametrize("declared", [True, False])
def test_no_more_is_read_than_vectors_have(server: ModelServer, loaded: Load, declared: bool) -> None:
    engine = loaded()
    huge = b"0" * (4 << 20)
    chunks = b"".join(b"100000\r\n" + b"0" * (1 << 20) + b"\r\n" for _ in range(4)) + b"0\r\n\r\n"
    server.fault = always(Reply(200, huge) if declared else Reply(200, chunks, {"Transfer-Encoding": "chunked"}))
    with pytest.raises(ServingRefused, match=r"more than 67,\d{3} bytes for /v2/models/birds/infer"):
        engine.features(PIXELS)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (with_tensor(shape=[8, 7]), "what is no tensor of numbers"),
        (with_tensor(shape=[4, 12]), r"an output of shape \[4, 12\] for 8 pictures"),
        (with_tensor(shape=[8, 2, 3]), r"an output of shape \[8, 2, 3\] for 8 pictures.*engine.cut names another"),
        (with_tensor(datatype="INT64"), "what is no tensor of numbers"),
        (with_tensor(data=[["a"] * 6] * 8), "what is no tensor of numbers"),
        (with_tensor(name="other"), "there is no features; the model server at .* has other"),
        (with_tensor(shape=[8, 3], data=[0.0] * 24), "it gives vectors of 3 values"),
        (lambda usual: as_json({"outputs": 7}), "what is no tensor of numbers"),
    ],
)
def test_an_answer_that_holds_no_vectors_stops_the_run(
    server: ModelServer, loaded: Load, change: Callable[[Reply], Reply], line: str
) -> None:
    engine = loaded()
    server.fault = always(change)
    with pytest.raises(ModelMismatch, match=line):
        engine.features(PIXELS)


def test_predictions_that_are_no_vectors_stop_the_run(server: ModelServer, loaded: Load) -> None:
    engine = loaded("tensorflow")
    for predictions, line in (
        ([[1.0]], r"an output of shape \[1, 1\] for 8"),
        ([[1.0, 2.0], [1.0]] * 4, "what is no list of vectors"),
        (7, "what is no list of vectors"),
        ([{"a": [1.0], "b": [2.0]}] * 8, r"engine.cut: there is no features"),
    ):
        server.fault = once(as_json({"predictions": predictions}))
        with pytest.raises(ModelMismatch, match=line):
            engine.features(PIXELS)


def test_what_is_not_finite_is_the_pictures_own(server: ModelServer, loaded: Load) -> None:
    """featurize rejects it as NOT_FINITE, as with any engine."""
    engine = loaded()

    def odd(values: np.ndarray) -> np.ndarray:
        vectors = small_model(values)
        vectors[(values == 255).all(axis=(1, 2, 3))] = np.nan
        return vectors

    server.model = odd
    pixels = PIXELS.copy()
    pixels[2] = 255
    for binary in (True, False):
        server.binary = binary
        finite = np.isfinite(engine.features(pixels)).all(axis=1)
        assert np.flatnonzero(~finite).tolist() == [2]


@pytest.mark.parametrize("protocol", ["kserve", "tensorflow"])
@pytest.mark.parametrize("way", ["version", "weights"])
def test_a_model_that_changes_stops_the_run(server: ModelServer, loaded: Load, protocol: str, way: str) -> None:
    engine = loaded(protocol)
    engine.features(PIXELS)
    if way == "version":
        server.version = "2"
    else:
        server.model = lambda values: small_model(values) * np.float32(1.001)
    with pytest.raises(ModelMismatch, match=r"has changed since version 1 was planned: .*; start a new run$"):
        engine.features(PIXELS)


def test_an_update_in_the_middle_of_a_shard_is_seen(server: ModelServer, loaded: Load) -> None:
    engine = loaded(batch=1)

    def later(path: str, reply: Reply) -> None:
        if server.predictions > 5:
            server.version = "2"

    server.predictions, server.fault = 0, later
    with pytest.raises(ModelMismatch, match="it has version 2"):
        engine.features(PIXELS)
