"""What plan settles of a server's description: size, order of axes and type; and what makes another record."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.layout import served_golden
from imagefeatures.models import reference
from imagefeatures.models.serving import settle
from imagefeatures.models.serving.declared import ServedEngine, ServedModel
from imagefeatures.models.serving.server import About
from imagefeatures.models.spec import ModelSpec, Served
from imagefeatures.settings import Settings
from support.shared import SPEC

OPEN = ServedModel(name="birds")
SIZED = ServedModel(name="birds", size=(32, 24), normalize="tf")
GREY = SPEC.model_copy(update={"input_shape": (32, 24, 1)})
SERVED = Served(model="birds", version="1", output="features", datatype="uint8")
OWN = ModelSpec(
    name="birds", input_shape=(32, 24, 3), scale="none", cut="features", pooling="none", width=6, format="served",
    served=SERVED, sha256="0" * 64,
)  # fmt: skip


def engine(**fields: Any) -> ServedEngine:
    given = {"serving": "http://h:9", "protocol": "kserve", "model": "birds"} | fields
    return ServedEngine.model_validate(given)


@pytest.mark.parametrize(
    ("model", "said", "found"),
    [
        (OPEN, (32, 24, 3), ((32, 24, 3), "nhwc")),
        (OPEN, (32, 24, 1), ((32, 24, 1), "nhwc")),
        (OPEN, (3, 32, 24), ((32, 24, 3), "nchw")),
        (OPEN, (1, 32, 24), ((32, 24, 1), "nchw")),
        (OPEN, (3, 32, 3), ((3, 32, 3), "nhwc")),  # where both fit, the usual one
        (SIZED, (None, 24, 3), ((32, 24, 3), "nhwc")),
        (SIZED, (3, 32, None), ((32, 24, 3), "nchw")),
        (SIZED, (None, None, 1), ((32, 24, 1), "nhwc")),
        (SIZED, None, ((32, 24, 3), "nhwc")),
        (SIZED, (7,), ((32, 24, 3), "nhwc")),
        (SIZED, (1, 32, 24, 3), ((32, 24, 3), "nhwc")),
        (SPEC, None, ((224, 224, 3), "nhwc")),
        (SPEC, (3, None, None), ((224, 224, 3), "nchw")),
        (GREY, None, ((32, 24, 1), "nhwc")),
        (GREY, (32, 24, 1), ((32, 24, 1), "nhwc")),
        (GREY, (1, 32, 24), ((32, 24, 1), "nchw")),
    ],
)
def test_size_and_order_are_the_servers_where_it_says_them(model: Any, said: Any, found: Any) -> None:
    assert settle._input(engine(), model, About(shape=said)) == found


@pytest.mark.parametrize(("send", "datatype"), [("png", ""), ("pixels", "string")])
def test_pngs_have_the_declared_size_whatever_the_servers_tensor_is(send: str, datatype: str) -> None:
    about = About(shape=(3, 9, 8), datatype=datatype)
    assert settle._input(engine(send=send), SIZED, about) == ((32, 24, 3), "nhwc")
    with pytest.raises(ModelMismatch, match=r"^model\.size: is required, as .* does not say how large"):
        settle._input(engine(send=send), OPEN, about)


@pytest.mark.parametrize(
    ("model", "said", "line"),
    [
        (OPEN, None, "model.size: is required, as the model server at http://h:9, model birds does not say how large"),
        (OPEN, (32, None, 3), "model.size: is required, as the model server at http://h:9, model birds takes pictures"),
        (OPEN, (None, 24, 3), "model.size: is required, as the model server at http://h:9, model birds takes pictures"),
        (
            OPEN,
            (32, 24, 2),
            "engine.input: x of the model server at http://h:9, model birds takes 32 × 24 × 2, no pict",
        ),
        (OPEN, (32, 24, None), "engine.input: x of the model server at http://h:9, model birds takes 32 × 24 × any"),
        (SPEC, (224, 224, 1), "engine.input: x of the model server at http://h:9, model birds takes 224 × 224 × 1, no"),
        (GREY, (32, 24, 3), "engine.input: x of the model server at http://h:9, model birds takes 32 × 24 × 3, no pic"),
    ],
)
def test_an_input_that_takes_no_such_pictures_is_refused(model: Any, said: Any, line: str) -> None:
    with pytest.raises(ModelMismatch) as raised:
        settle._input(engine(), model, About(input="x", shape=said))
    assert str(raised.value).startswith(line)


@pytest.mark.parametrize(
    ("model", "said", "taken", "has"),
    [
        (SIZED, (24, 32, 3), "24 × 32 × 3", "birds has 32 × 24 × 3"),
        (SIZED, (32, 25, 1), "32 × 25 × 1", "birds has 32 × 24 × 1"),
        (SPEC, (224, 225, 3), "224 × 225 × 3", "mobilenet_v2 has 224 × 224 × 3"),
    ],
)
def test_a_size_that_differs_is_told_with_both(model: Any, said: Any, taken: str, has: str) -> None:
    with pytest.raises(ModelMismatch) as raised:
        settle._input(engine(), model, About(shape=said))
    line = f"MODEL_MISMATCH: the model server at http://h:9, model birds takes pictures of {taken}"
    assert str(raised.value) == f"{line} (height, width, channels), and {has}"


@pytest.mark.parametrize(
    ("fields", "model", "said", "found"),
    [
        ({}, OPEN, "uint8", "uint8"),
        ({}, SIZED, "float32", "float32"),
        ({}, SPEC, "float32", "float32"),
        ({"datatype": "float32"}, SIZED, "", "float32"),
        ({"datatype": "uint8"}, OPEN, "", "uint8"),
        ({"datatype": "uint8"}, OPEN, "uint8", "uint8"),
        ({"send": "png"}, OPEN, "", "string"),
        ({"send": "png"}, OPEN, "string", "string"),
    ],
)
def test_the_type_is_the_servers_or_the_declared_one(fields: Any, model: Any, said: str, found: str) -> None:
    assert settle._datatype(engine(**fields), model, About(datatype=said)) == found


@pytest.mark.parametrize(
    ("fields", "model", "said", "line"),
    [
        ({}, OPEN, "INT8", "engine.input: x of the model server at http://h:9, model birds takes INT8, which is not"),
        (
            {"datatype": "uint8"},
            OPEN,
            "float32",
            "engine.datatype: the model server at http://h:9, model birds takes f",
        ),
        (
            {"send": "png"},
            OPEN,
            "uint8",
            "engine.send: the model server at http://h:9, model birds takes uint8, and str",
        ),
        (
            {"datatype": "uint8"},
            OPEN,
            "string",
            "engine.send: the model server at http://h:9, model birds takes string,",
        ),
        ({}, OPEN, "string", "engine.send: the model server at http://h:9, model birds takes encoded images; write"),
        (
            {},
            OPEN,
            "",
            "engine.datatype: is required, uint8 or float32, as the model server at http://h:9, model birds",
        ),
        (
            {},
            OPEN,
            "float32",
            "model.normalize: is required, as the model server at http://h:9, model birds takes floa",
        ),
    ],
)
def test_a_type_that_is_not_sent_or_not_known_is_refused(fields: Any, model: Any, said: str, line: str) -> None:
    with pytest.raises(ModelMismatch) as raised:
        settle._datatype(engine(**fields), model, About(input="x", datatype=said))
    assert str(raised.value).startswith(line)
    assert len(str(raised.value)) < 300


class Server:
    """What asks a server. change: what it makes of the vectors of n pictures. version: by the number of pictures."""

    def __init__(self, change: Any = None, version: Any = None) -> None:
        self.change = change or (lambda vectors: vectors)
        self.version = version or (lambda count: "1")
        self.asked: list[int] = []

    def vectors(self, pixels: np.ndarray) -> tuple[np.ndarray, str]:
        self.asked.append(len(pixels))
        flat = pixels.reshape(len(pixels), -1).astype(np.float32)
        found = np.stack([flat.mean(1), flat.std(1), flat[:, 0], flat[:, 1]], 1)
        return self.change(found), self.version(len(pixels))

    def version_now(self, said: str) -> str:
        return f"now {said}"


def golden(monkeypatch: pytest.MonkeyPatch, server: Server, batch: int = 6) -> tuple[np.ndarray, str]:
    monkeypatch.setattr(settle, "Serving", lambda *_: server)
    return settle._golden(engine(batch=batch), OWN)


def test_the_golden_pictures_are_asked_for_together_alone_and_by_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    vectors, version = golden(monkeypatch, server)
    assert server.asked == [4, 1, 1, 1, 1, 6]
    expected, _ = Server().vectors(reference.golden_pixels(OWN.input_shape))
    assert np.array_equal(vectors, expected)
    assert version == "now 1"


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (
            Server(lambda found: np.where(found == found.max(), np.inf, found)),
            "gives NaN or infinity for the golden pict",
        ),
        (Server(lambda found: found * 0 + 7), "gives the same vector for every picture"),
        (
            Server(lambda found: found[:, : 5 - (len(found) == 1) * 2]),
            "gives a picture alone a vector of another length",
        ),
        (
            Server(lambda found: found[:, : 5 - (len(found) == 6) * 2]),
            "gives 6 pictures vectors of another length than 4",
        ),
        (Server(lambda found: found * (1 + (len(found) == 1))), ", a picture alone, differs"),
        (Server(lambda found: found * (1 + (len(found) == 6))), ", of 6 pictures at once, differs"),
        (Server(version=lambda count: str(count == 1)), "has changed its version while it was asked; try again"),
        (Server(version=lambda count: str(count == 6)), "has changed its version while it was asked; try again"),
        (Server(version=lambda count: str(count == 4)), "has changed its version while it was asked; try again"),
    ],
)
def test_a_server_whose_vectors_depend_on_more_than_the_picture_is_refused(
    monkeypatch: pytest.MonkeyPatch, server: Server, said: str
) -> None:
    with pytest.raises(ModelMismatch) as raised:
        golden(monkeypatch, server)
    assert said in str(raised.value)
    assert "the model server at http://h:9, model birds" in str(raised.value)


def test_vectors_that_differ_little_are_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = golden(monkeypatch, Server(lambda found: found / 1000))
    assert vectors.max() < 1


def objects() -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.array([print], object), allow_pickle=True)
    return sink.getvalue()


@pytest.mark.parametrize("damaged", [b"", b"garbage", objects()], ids=["empty", "garbage", "objects"])
def test_a_record_that_is_damaged_is_named_and_no_object_is_loaded(settings: Settings, damaged: bytes) -> None:
    place = served_golden(settings.lake, settle._question(OWN), 0)
    storage.write(place, damaged)
    with pytest.raises(ModelMismatch, match=f"^MODEL_MISMATCH: {place} is damaged; delete it"):
        settle._recorded(OWN, settings.lake, VECTORS)


VECTORS = np.arange(24, dtype=np.float32).reshape(4, 6)


def test_a_record_is_made_once_and_found_again_by_its_digest(settings: Settings) -> None:
    first = settle._recorded(OWN, settings.lake, VECTORS)
    assert np.array_equal(np.load(io.BytesIO(first)), VECTORS)
    assert settle._recorded(OWN, settings.lake, VECTORS * np.float32(1 + 1e-7)) == first  # the same model elsewhere
    other = settle._recorded(OWN, settings.lake, VECTORS + 1)
    shorter = settle._recorded(OWN, settings.lake, VECTORS[:, :5])
    assert len({first, other, shorter}) == 3
    for data in (shorter, first, other):
        spec = settle.with_golden(OWN, hashlib.sha256(data).hexdigest())
        assert settle.recorded(spec, settings.lake) == data
    question = settle._question(OWN)
    assert [storage.read(served_golden(settings.lake, question, at)) for at in range(3)] == [first, other, shorter]
    with pytest.raises(ModelMismatch, match=r"^MODEL_MISMATCH: .*-3\.npy is gone; start a new run"):
        settle.recorded(settle.with_golden(OWN, "0" * 64), settings.lake)


def test_too_many_records_are_a_mistake(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "MOST_RECORDS", 2)
    for more in range(2):
        settle._recorded(OWN, settings.lake, VECTORS + more * 100)
    with pytest.raises(ModelMismatch, match=r"^MODEL_MISMATCH: birds: the lake has 2 models of this name and version$"):
        settle._recorded(OWN, settings.lake, VECTORS + 900)


def test_the_golden_vectors_stand_for_the_file_only_where_none_is_here() -> None:
    own = settle.with_golden(OWN, "1" * 64)
    assert (own.served and own.served.golden, own.sha256) == ("1" * 64, "1" * 64)
    known = settle.with_golden(SPEC.model_copy(update={"served": SERVED}), "1" * 64)
    assert (known.served and known.served.golden, known.sha256) == ("1" * 64, SPEC.sha256)


def test_the_question_is_of_all_that_is_sent() -> None:
    asked = settle._question(OWN)
    assert asked == "abc99a4623c4bb81f132c8a2161eb143"  # records that lakes have are found by it
    assert settle._question(settle.with_golden(OWN, "1" * 64)) == asked
    others = [
        {"name": "other"},
        {"served": SERVED.model_copy(update={"version": "2"})},
        {"input_shape": (32, 25, 3)},
        {"scale": "tf"},
        {"cut": "other"},
    ]
    assert len({asked, *(settle._question(OWN.model_copy(update=update)) for update in others)}) == 6
