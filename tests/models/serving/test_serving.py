"""A served model gives the vectors of the model, in both protocols, however pictures are sent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from imagefeatures.models import reference
from imagefeatures.models.engines.serving import Serving
from support.model_servers import SIZE, ModelServer, small_model

Load = Callable[..., Serving]


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, *SIZE, 3), np.uint8)


@pytest.mark.parametrize("protocol", ["kserve", "tensorflow"])
@pytest.mark.parametrize(
    ("datatype", "fields"),
    [
        ("UINT8", {}),
        ("FP32", {"model": {"normalize": "torch"}}),
        ("BYTES", {"send": "png", "model": {"size": list(SIZE)}}),
    ],
)
def test_the_vectors_are_the_models(
    server: ModelServer, loaded: Load, protocol: str, datatype: str, fields: dict
) -> None:
    server.datatype = datatype
    server.shape = () if datatype == "BYTES" else (*SIZE, 3)
    serving, pixels = loaded(protocol, batch=3, **fields), pictures(8)
    expected = small_model(reference.scaled(pixels, serving._spec.value_scale) if datatype == "FP32" else pixels)
    found = serving.features(pixels)
    assert (found.dtype, found.shape) == (np.float32, (8, 6))
    assert np.abs(found - expected).max() < 1e-4
    assert serving._spec.width == 6


def test_a_server_that_answers_json_where_bytes_were_asked_for_is_read(server: ModelServer, loaded: Load) -> None:
    server.binary = False
    assert np.abs(loaded().features(pictures(5)) - small_model(pictures(5))).max() < 1e-4


def test_axes_are_those_of_the_server(server: ModelServer, loaded: Load) -> None:
    server.shape = (3, *SIZE)
    server.model = lambda values: small_model(values.transpose(0, 2, 3, 1))
    serving = loaded()
    assert np.abs(serving.features(pictures(5)) - small_model(pictures(5))).max() < 1e-4
    assert serving._spec.input_shape == (*SIZE, 3)


@pytest.mark.parametrize("protocol", ["kserve", "tensorflow"])
def test_a_server_that_says_nothing_of_its_model_is_told_what_the_dataset_file_says(
    server: ModelServer, loaded: Load, protocol: str
) -> None:
    server.metadata = server.says_version = False
    serving = loaded(protocol, model={"size": list(SIZE)}, datatype="uint8", input="image")
    assert np.abs(serving.features(pictures(5)) - small_model(pictures(5))).max() < 1e-4
    assert serving._served.version == ""


def test_one_of_several_outputs_is_chosen(server: ModelServer, loaded: Load) -> None:
    server.outputs = ("logits", "features")
    for protocol in ("kserve", "tensorflow"):
        assert loaded(protocol, cut="features").features(pictures(2)).shape == (2, 6)


def test_outputs_beside_the_chosen_one_may_be_longer(server: ModelServer, loaded: Load) -> None:
    """TensorFlow Serving sends all of them: 16 times 1,000 logits are more than 128 values of each picture."""
    server.outputs, server.beside = ("logits", "features"), 1000
    server.model = lambda values: np.tile(small_model(values), 22)[:, :128]
    assert np.abs(loaded("tensorflow", cut="features").features(pictures(16)) - server.model(pictures(16))).max() < 1e-4


def test_requests_under_way_are_bounded_and_batches_have_the_size_that_was_said(
    server: ModelServer, loaded: Load
) -> None:
    serving = loaded(batch=4, in_flight=3)
    server.requests.clear()
    server.most_at_once, server.seconds = 0, 0.05
    serving.features(pictures(30))
    assert server.most_at_once == 3
    sent = [path for path, _, _ in server.requests if path.endswith("/infer")]
    assert len(sent) == 8 + 1  # and the golden pictures


def test_the_token_goes_to_the_server_and_no_proxy_is_asked(
    server: ModelServer, loaded: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded()
    assert all("authorization" not in headers for _, headers, _ in server.requests)
    server.requests.clear()
    monkeypatch.setenv("IMAGEFEATURES_SERVING_TOKEN", "canary-token")
    loaded()
    assert server.requests
    assert {headers["authorization"] for _, headers, _ in server.requests} == {"Bearer canary-token"}
