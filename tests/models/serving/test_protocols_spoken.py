"""Both protocols as they are spoken: the bytes that are sent, and what is made of each kind of answer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.serving.client import Answer, Client, Request
from imagefeatures.models.serving.connect import connect
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.models.serving.kserve import HEADER, KServe
from imagefeatures.models.serving.predict import Predict
from imagefeatures.models.serving.server import BYTES_BESIDE, MOST_WIDTH, About, as_vectors, chosen, path_of
from imagefeatures.models.spec import Served
from imagefeatures.storage.retry import Transient

PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 1, 2, 3)
VECTORS = np.arange(6, dtype="<f4").reshape(2, 3)
NAMED = Served(model="birds", version="1", input="image", output="features", datatype="uint8")
UNNAMED = Served(model="birds", version="", datatype="float32", layout="nchw")


class Said(Client):
    """A server that gives these answers, by the end of the path. asked: what it was asked for."""

    def __init__(self, engine: ServedEngine, answers: dict[str, Any]) -> None:
        super().__init__(engine)
        self.answers, self.asked = answers, list[Request]()

    def ask(self, request: Request, read: Any = Answer.json, deadline: Any = None) -> Any:
        self.asked.append(request)
        return read(answer_of(self.answers[request.path]))

    def once(self, path: str) -> tuple[int, Answer]:
        status, content = self.answers[path]
        return status, answer_of(content)


def engine(protocol: str = "kserve", **fields: Any) -> ServedEngine:
    return ServedEngine.model_validate({"serving": "http://h:9/", "protocol": protocol, "model": "birds"} | fields)


def kserve(answers: dict[str, Any] | None = None, **fields: Any) -> KServe:
    own = engine("kserve", **fields)
    return KServe(own, Said(own, answers or {}))


def predict(answers: dict[str, Any] | None = None, **fields: Any) -> Predict:
    own = engine("tensorflow", **fields)
    return Predict(own, Said(own, answers or {}))


def answer_of(content: Any, tensors: bytes = b"") -> Answer:
    head = json.dumps(content).encode()
    return Answer(head + tensors, {HEADER: str(len(head))} if tensors else {})


# What both have in common


def test_the_path_names_the_model_and_the_version_that_is_asked_for() -> None:
    assert path_of(engine(), "v2") == "/v2/models/birds"
    assert path_of(engine(model="a/b c", version="1/2"), "v1") == "/v1/models/a%2Fb%20c/versions/1%2F2"
    assert BYTES_BESIDE == 65536


@pytest.mark.parametrize("shape", [(2, 3), (2, 1, 3), (2, 3, 1, 1), (2, MOST_WIDTH)])
def test_vectors_may_have_sides_of_one(shape: tuple[int, ...]) -> None:
    found = as_vectors(engine(), np.arange(np.prod(shape), dtype=np.float64).reshape(shape), 2)
    assert (found.shape, found.dtype, found[1, 0]) == ((2, max(shape)), np.float32, max(shape))


@pytest.mark.parametrize("shape", [(3, 2), (2, 2, 3), (2, 1, 1), (2,), (), (2, MOST_WIDTH + 1)])
def test_what_is_no_vector_for_each_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelMismatch, match=r"one vector of 2 to 65536 values for each; engine\.cut names another"):
        as_vectors(engine(), np.empty(shape), 2)


def test_numbers_beyond_float32_become_infinite_without_a_word() -> None:
    assert as_vectors(engine(), np.full((1, 2), 1e300), 1).tolist() == [[np.inf, np.inf]]


@pytest.mark.parametrize(
    ("wanted", "names", "name"),
    [(None, ["a"], "a"), ("a", ["a", "b"], "a"), ("b", ["a", "b"], "b"), ("a", [], "a"), (None, [], "")],
)
def test_a_name_is_chosen(wanted: str | None, names: list[str], name: str) -> None:
    assert chosen(engine(), "cut", wanted, names) == name


@pytest.mark.parametrize(
    ("wanted", "names", "said"),
    [
        (None, ["a", "b"], "one has to be chosen; the model server at http://h:9, model birds has a, b"),
        ("c", ["a"], "there is no c; the model server at http://h:9, model birds has a"),
    ],
)
def test_a_name_that_is_not_there_is_refused(wanted: str | None, names: list[str], said: str) -> None:
    with pytest.raises(ModelMismatch) as raised:
        chosen(engine(), "cut", wanted, names)
    assert str(raised.value) == f"engine.cut: {said}"


def test_a_token_that_the_server_sends_back_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_SERVING_TOKEN", "hush-hush")
    with pytest.raises(ModelMismatch, match=r"has a, x…x$"):
        chosen(engine(), "cut", "c", ["a", "xhush-hushx"])


def test_the_protocol_chooses_who_speaks() -> None:
    for protocol, kind in (("kserve", KServe), ("tensorflow", Predict)):
        own = engine(protocol)
        assert type(connect(own, Client(own))) is kind


# The Open Inference Protocol

V2 = "/v2/models/birds"
TENSOR = {"name": "image", "datatype": "UINT8", "shape": [-1, 32, 0, 3]}


def test_a_description_says_version_input_and_output() -> None:
    content = {"versions": ["1", 2], "inputs": [TENSOR], "outputs": [{"name": "features"}]}
    found = kserve({V2: content}).about()
    assert found == About("1,2", "image", "uint8", (32, None, 3), "features")
    assert kserve({V2: content}).version() == "1,2"
    two = content | {"inputs": [TENSOR, TENSOR | {"name": "mask"}], "outputs": [{"name": "a"}, {"name": "b"}]}
    own = kserve({f"{V2}/versions/7": two}, version="7", input="mask", cut="b")
    assert own.about() == About("7", "mask", "uint8", (32, None, 3), "b")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({}, About()),
        ({"inputs": None, "outputs": None, "versions": "1"}, About()),
        ({"inputs": [{"name": "x"}]}, About(input="x")),
        ({"inputs": [{"name": "x", "shape": [-1, 1, 2]}]}, About(input="x", shape=(1, 2))),
        ({"inputs": [{"name": "x", "datatype": "INT8", "shape": [-1]}]}, About(input="x", datatype="INT8")),
        ({"inputs": [{"name": "x", "datatype": "FP32"}]}, About(input="x", datatype="float32")),
        ({"inputs": [{"name": "x", "datatype": "BYTES"}]}, About(input="x", datatype="string")),
    ],
)
def test_a_description_may_say_little(content: dict[str, Any], found: About) -> None:
    assert kserve({V2: content}).about() == found


@pytest.mark.parametrize("inputs", [[{}], [7], 7, [{"name": "x", "shape": ["a"]}], [{"name": "x", "shape": None}]])
def test_a_description_of_another_kind_is_refused(inputs: Any) -> None:
    with pytest.raises(ModelMismatch, match="says of it is not of the Open Inference Protocol"):
        kserve({V2: {"inputs": inputs}}).about()


def test_a_model_is_ready_where_the_server_says_200() -> None:
    assert kserve({f"{V2}/ready": (200, {})}).ready()
    assert not kserve({f"{V2}/ready": (404, {})}).ready()


def sent(request: Request) -> tuple[dict[str, Any], bytes]:
    """The JSON of a request, and the bytes after it."""
    length = int(request.headers[HEADER])
    assert request.headers["Content-Type"] == "application/octet-stream"
    body = request.body or b""
    return json.loads(body[:length]), body[length:]


def test_pixels_are_sent_as_the_bytes_of_a_tensor() -> None:
    request = kserve().request(PIXELS, NAMED, 99)
    content, data = sent(request)
    assert (request.path, request.most, request.id, data) == (f"{V2}/infer", 99, content["id"], PIXELS.tobytes())
    tensor = {"name": "image", "shape": [2, 1, 2, 3], "datatype": "UINT8"}
    assert content["inputs"] == [tensor | {"parameters": {"binary_data_size": 12}}]
    assert content["outputs"] == [{"name": "features", "parameters": {"binary_data": True}}]
    assert "parameters" not in content
    again = kserve().request(PIXELS, NAMED, 99)
    assert again.id != request.id


def test_numbers_in_another_order_are_sent_in_that_order() -> None:
    values = PIXELS.astype(np.float32).transpose(0, 3, 1, 2)
    content, data = sent(kserve().request(values, UNNAMED, 99))
    assert data == values.copy(order="C").tobytes()
    (tensor,) = content["inputs"]
    assert (tensor["name"], tensor["shape"], tensor["datatype"]) == ("", [2, 3, 1, 2], "FP32")
    assert content["parameters"] == {"binary_data_output": True}
    assert "outputs" not in content


@pytest.mark.parametrize(("axes", "shape"), [(1, [2]), (2, [2, 1])])
def test_pngs_are_sent_with_their_lengths(axes: Any, shape: list[int]) -> None:
    served = NAMED.model_copy(update={"datatype": "string", "axes": axes})
    content, data = sent(kserve().request([b"abc", b"d" * 258], served, 99))
    assert data == b"\3\0\0\0abc" + b"\2\1\0\0" + b"d" * 258
    (tensor,) = content["inputs"]
    assert (tensor["shape"], tensor["datatype"]) == (shape, "BYTES")


ASKED = Request(V2, id="7")


def output(name: str = "features", **fields: Any) -> dict[str, Any]:
    return {"name": name, "datatype": "FP32", "shape": [2, 3]} | fields


def binary(name: str = "features", size: int = 24, **fields: Any) -> dict[str, Any]:
    return output(name, parameters={"binary_data_size": size}, **fields)


@pytest.mark.parametrize(
    ("outputs", "tensors"),
    [
        ([output(data=VECTORS.ravel().tolist())], b""),
        ([output(data=VECTORS.tolist(), parameters={})], b""),
        ([binary()], VECTORS.tobytes()),
        ([binary(datatype="FP16", size=12)], VECTORS.astype("<f2").tobytes()),
        ([binary(datatype="FP64", size=48)], VECTORS.astype("<f8").tobytes()),
        ([binary("other", 8), binary(), binary("last", 0)], b"x" * 8 + VECTORS.tobytes()),
        ([output("other", data=[1]), binary()], VECTORS.tobytes()),
    ],
)
def test_vectors_are_read_from_bytes_and_from_json(outputs: list[Any], tensors: bytes) -> None:
    content = {"outputs": outputs, "id": "7", "model_version": "3\n"}
    found, version = kserve().read(answer_of(content, tensors), ASKED, NAMED, 2)
    assert (found.tolist(), version) == (VECTORS.tolist(), "3\\n")


@pytest.mark.parametrize("about", [{}, {"id": None}, {"id": ""}])
def test_an_answer_need_not_say_to_what_it_is_one(about: dict[str, Any]) -> None:
    content = {"outputs": [output(data=VECTORS.tolist())]} | about
    found, version = kserve().read(answer_of(content), ASKED, UNNAMED, 2)
    assert (found.shape, version) == ((2, 3), "")


def test_an_answer_that_may_be_damaged_passes() -> None:
    read = kserve().read
    whole = answer_of({"outputs": [binary()], "id": "7"}, VECTORS.tobytes())
    for length in ("", "-1", "9" * 13, str(len(whole.body) + 1)):
        with pytest.raises(Transient, match="an answer whose inference-header-content-length is not within it"):
            read(Answer(whole.body, {HEADER: length}), ASKED, NAMED, 2)
    with pytest.raises(Transient, match="an answer that is no JSON object"):
        read(Answer(whole.body, {HEADER: "0"}), ASKED, NAMED, 2)
    with pytest.raises(Transient, match="the answer to another request"):
        read(whole, Request(V2, id="8"), NAMED, 2)
    with pytest.raises(Transient, match="an answer that ends before its tensors"):
        read(Answer(whole.body[:-1], whole.headers), ASKED, NAMED, 2)
    with pytest.raises(Transient, match="an answer that ends before its tensors"):
        read(answer_of({"outputs": [binary(size=-1)], "id": "7"}, b"x"), ASKED, NAMED, 2)


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        (None, "TypeError"),
        ([{}], "KeyError"),
        ([7], "AttributeError"),
        ([output(datatype="INT64", data=[1] * 6)], "KeyError"),
        ([output(data=["a"] * 6)], "ValueError"),
        ([output(data=[1] * 5)], "ValueError"),
        ([output(data=[10**400] * 6)], "OverflowError"),
    ],
)
def test_what_is_no_tensor_is_refused(outputs: Any, kind: str) -> None:
    with pytest.raises(ModelMismatch, match=rf"answers with what is no tensor of numbers \({kind}\)"):
        kserve().read(answer_of({"outputs": outputs}), ASKED, NAMED, 2)
