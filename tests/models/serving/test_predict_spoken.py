"""TensorFlow Serving's protocol as it is spoken: the JSON that is sent, and what is made of each answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.serving.client import Answer, Client, Request
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.models.serving.predict import Predict
from imagefeatures.models.serving.server import About
from imagefeatures.models.spec import Served
from imagefeatures.storage.retry import Transient

V1 = "/v1/models/birds"
ASKED = Request(V1)
NAMED = Served(model="birds", version="1", input="image", output="features", datatype="uint8")
UNNAMED = Served(model="birds", version="", datatype="float32")


class Said(Client):
    """A server that gives these answers, by their paths."""

    def __init__(self, engine: ServedEngine, answers: dict[str, Any]) -> None:
        super().__init__(engine)
        self.answers, self.asked = answers, list[Request]()

    def ask(self, request: Request, read: Any = Answer.json, deadline: Any = None) -> Any:
        self.asked.append(request)
        return read(answer_of(self.answers[request.path]))

    def once(self, path: str) -> tuple[int, Answer]:
        status, content = self.answers[path]
        return status, answer_of(content)


def answer_of(content: Any) -> Answer:
    return Answer(json.dumps(content).encode())


def server(answers: dict[str, Any] | None = None, **fields: Any) -> Predict:
    given = {"serving": "http://h:9/", "protocol": "tensorflow", "model": "birds"} | fields
    engine = ServedEngine.model_validate(given)
    return Predict(engine, Said(engine, answers or {}))


def status(*versions: tuple[str, str]) -> dict[str, Any]:
    return {"model_version_status": [{"version": version, "state": state} for version, state in versions]}


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (status(("1", "AVAILABLE")), "1"),
        (status(("9", "AVAILABLE"), ("10", "AVAILABLE"), ("11", "LOADING")), "10"),
        (status(("10", "AVAILABLE"), ("20", "AVAILABLE"), ("12", "AVAILABLE")), "20"),
        ({"model_version_status": [7, *status(("1", "AVAILABLE"))["model_version_status"]]}, "1"),
        ({"name": "birds", "ready": True}, ""),
        ({}, ""),
    ],
)
def test_the_version_is_the_newest_that_is_available(content: dict[str, Any], version: str) -> None:
    assert server({V1: content}).version() == version


def test_a_version_that_is_asked_for_is_it() -> None:
    for content in (status(("10", "AVAILABLE")), {"ready": True}):
        assert server({f"{V1}/versions/7": content}, version="7").version() == "7"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (status(("1", "LOADING")), "no version of its model is available"),
        ({"model_version_status": []}, "no version of its model is available"),
        ({"ready": False}, "its model is not ready"),
    ],
)
def test_a_model_that_is_not_there_yet_may_come(content: dict[str, Any], said: str) -> None:
    with pytest.raises(Transient, match=said):
        server({V1: content}).version()
    with pytest.raises(Transient, match=said):
        server({V1: (200, content)}).ready()
    assert not server({V1: (404, content)}).ready()


def test_a_model_is_ready_where_a_version_of_it_is_available() -> None:
    assert server({V1: (200, status(("1", "AVAILABLE")))}).ready()
    assert server({V1: (200, {"ready": True})}).ready()


IMAGE = {"dtype": "DT_UINT8", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "32"}, {"size": "0"}, {"size": "3"}]}}


def described(**fields: Any) -> dict[str, Any]:
    """The answers of a server whose model has two signatures, of two inputs and outputs each."""
    own = {"inputs": {"image": IMAGE}, "outputs": {"features": {}}} | fields
    other = {"inputs": {"a": IMAGE, "b": IMAGE | {"dtype": "DT_FLOAT"}}, "outputs": {"c": {}, "d": {}}}
    signatures = {"serving_default": own, "other": other}
    metadata = {"metadata": {"signature_def": {"signature_def": signatures}}}
    return {V1: status(("1", "AVAILABLE")), f"{V1}/metadata": metadata}


def test_a_description_says_input_and_output_of_the_signature() -> None:
    answers = described()
    own = server(answers)
    assert own.about() == About("1", "image", "uint8", (32, None, 3), "features")
    assert [(request.path, request.optional) for request in own._client.asked] == [  # type: ignore[attr-defined]
        (V1, False),
        (f"{V1}/metadata", True),
    ]
    chosen = server(answers, signature="other", input="b", cut="d")
    assert chosen.about() == About("1", "b", "float32", (32, None, 3), "d")


@pytest.mark.parametrize(
    ("image", "datatype", "shape"),
    [
        ({"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1"}]}}, "string", None),
        ({"dtype": "DT_INT8", "tensor_shape": {}}, "DT_INT8", None),
        ({"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "1"}]}}, "float32", (1,)),
    ],
)
def test_an_input_is_said_with_the_sides_that_it_has(image: Any, datatype: str, shape: Any) -> None:
    found = server(described(inputs={"image": image})).about()
    assert (found.datatype, found.shape) == (datatype, shape)


def test_a_server_without_a_description_is_taken_at_its_word() -> None:
    answers = {V1: {"ready": True}, f"{V1}/metadata": {}}
    assert server(answers).about() == About()
    assert server(answers, input="x", cut="y").about() == About(input="x", output="y")


@pytest.mark.parametrize(
    "metadata",
    [{"metadata": {}}, {"metadata": 7}, {"metadata": {"signature_def": {"signature_def": {"serving_default": 7}}}}],
)
def test_a_description_of_another_kind_is_refused(metadata: Any) -> None:
    with pytest.raises(ModelMismatch, match="says of it is not of TensorFlow Serving"):
        server(described() | {f"{V1}/metadata": metadata}).about()
    wrong = {"dtype": "DT_UINT8", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "wide"}]}}
    with pytest.raises(ModelMismatch, match="says of it is not of TensorFlow Serving"):
        server(described(inputs={"image": wrong})).about()
    with pytest.raises(ModelMismatch, match="says of it is not of TensorFlow Serving"):
        server(described(inputs={"image": {"tensor_shape": 7, "dtype": "DT_UINT8"}})).about()


def test_a_signature_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelMismatch, match=r"^engine\.signature: there is no third; .* has serving_default, other$"):
        server(described(), signature="third").about()


@pytest.mark.parametrize(
    ("values", "served", "content"),
    [
        ([b"abc", b"d"], UNNAMED, {"instances": [{"b64": base64.b64encode(png).decode()} for png in (b"abc", b"d")]}),
        (np.uint8([[[1]], [[255]]]), NAMED, {"instances": [{"image": [[1]]}, {"image": [[255]]}]}),
        (np.float32([[0.1], [-1 / 3]]), UNNAMED, {"instances": [[0.1], [-0.333333]]}),
        (
            np.uint8([[1]]),
            NAMED.model_copy(update={"signature": "other", "input": ""}),
            {"instances": [[1]], "signature_name": "other"},
        ),
    ],
)
def test_pictures_are_sent_as_json_without_a_space(values: Any, served: Served, content: dict[str, Any]) -> None:
    request = server().request(values, served, 99)
    assert (request.path, request.most) == (f"{V1}:predict", 99)
    assert request.headers == {"Content-Type": "application/json"}
    assert request.body == json.dumps(content).replace(" ", "").encode()


@pytest.mark.parametrize(
    ("predictions", "served"),
    [
        ([[1, 2.5], [3, 4]], UNNAMED),
        ([[[1, 2.5]], [[3, 4]]], UNNAMED),
        ([{"features": [1, 2.5], "other": [9]}, {"features": [3, 4], "other": [9]}], NAMED),
        ([{"it": [1, 2.5]}, {"it": [3, 4]}], UNNAMED),
    ],
)
def test_predictions_are_the_vectors(predictions: Any, served: Served) -> None:
    found, version = server().read(answer_of({"predictions": predictions}), ASKED, served, 2)
    assert (found.tolist(), found.dtype, version) == ([[1, 2.5], [3, 4]], np.float32, "")


def test_an_answer_without_predictions_passes() -> None:
    with pytest.raises(Transient, match="an answer without predictions"):
        server().read(answer_of({"error": "busy"}), ASKED, UNNAMED, 2)


@pytest.mark.parametrize(
    ("predictions", "kind"),
    [(7, "TypeError"), ([["a", "b"]] * 2, "ValueError"), ([[1, 2], [3]], "ValueError"), ([[10**400, 1]] * 2, "Over")],
)
def test_what_is_no_list_of_vectors_is_refused(predictions: Any, kind: str) -> None:
    with pytest.raises(ModelMismatch, match=rf"answers with what is no list of vectors \({kind}"):
        server().read(answer_of({"predictions": predictions}), ASKED, UNNAMED, 2)


def test_of_several_outputs_one_is_chosen() -> None:
    answer = answer_of({"predictions": [{"a": [1, 2], "b": [3, 4]}]})
    with pytest.raises(ModelMismatch, match=r"engine\.cut: one has to be chosen; .* has a, b"):
        server().read(answer, ASKED, UNNAMED, 1)
    with pytest.raises(ModelMismatch, match=r"engine\.cut: there is no features; .* has a, b"):
        server().read(answer, ASKED, NAMED, 1)
