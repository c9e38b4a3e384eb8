"""What plan settles of a served model, its fingerprint, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.serving import settle
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.models.spec import ModelSpec
from imagefeatures.settings import Settings, serving_token
from support.model_servers import SIZE, ModelServer, small_model

Plan = Callable[..., tuple[ServedEngine, ModelSpec]]


def fingerprint(planned: tuple[ServedEngine, ModelSpec]) -> str:
    return planned[1].fingerprint(planned[1].preprocessing)


def test_the_spec_says_what_the_server_has(server: ModelServer, plan: Plan) -> None:
    spec = plan()[1]
    assert (spec.format, spec.input_shape, spec.width, spec.pooling) == ("served", (*SIZE, 3), 6, "none")
    assert spec.served
    assert (spec.served.model, spec.served.version, spec.served.input) == ("birds", "1", "image")
    assert spec.sha256 == spec.served.golden
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec


def test_last_bits_of_another_machine_change_no_fingerprint(server: ModelServer, plan: Plan) -> None:
    first = fingerprint(plan())
    random = np.random.default_rng(3)
    for _ in range(5):
        server.model = lambda values: small_model(values) * (1 + random.normal(0, 1e-6, (len(values), 6)))
        assert fingerprint(plan()) == first


def test_another_model_under_the_same_version_has_another_fingerprint(
    server: ModelServer, plan: Plan, settings: Settings
) -> None:
    first = fingerprint(plan())
    server.model = lambda values: small_model(values) + np.float32(1)
    second = fingerprint(plan())
    server.model = small_model
    assert fingerprint(plan()) == first != second
    kept = list(Path(settings.lake.removeprefix("file://"), "models", "served").iterdir())
    assert sorted(path.name[-6:] for path in kept) == ["-0.npy", "-1.npy"]


@pytest.mark.parametrize("change", ["version", "width", "normalize"])
def test_what_makes_other_vectors_is_part_of_the_fingerprint(server: ModelServer, plan: Plan, change: str) -> None:
    server.datatype = "FP32"
    first = fingerprint(plan(model={"normalize": "none"}))
    if change == "version":
        server.version = "2"
    if change == "width":
        server.model = lambda values: small_model(values)[:, :5]
    assert fingerprint(plan(model={"normalize": "tf" if change == "normalize" else "none"})) != first


def test_how_pictures_are_sent_is_no_part_of_it(server: ModelServer, plan: Plan) -> None:
    first = fingerprint(plan(batch=1))
    server.binary = False
    assert fingerprint(plan(batch=7, in_flight=5, deadline=9)) == first


def test_the_local_default_keeps_its_fingerprint() -> None:
    spec = BACKBONES["mobilenet_v2"]
    assert spec.fingerprint(spec.preprocessing) == "63e4fab4295764c4c5a908f0aaaec921"
    assert "served" in spec.model_dump()


@pytest.mark.parametrize(
    ("changes", "fields", "line"),
    [
        ({"shape": (4097, 24, 3)}, {}, r"takes pictures of 4097 × 24 × 3 .*; a side of 1 to 4096 is taken$"),
        ({"shape": (32, 200_000, 3)}, {}, r"takes pictures of 32 × 200000 × 3 .*; a side of 1 to 4096 is taken$"),
        ({"shape": (None, None, 3)}, {}, r"model\.size: is required, .* takes pictures of any size"),
        ({}, {"model": {"size": [48, 48]}}, r"takes pictures of 32 × 24 × 3 .*and birds_v1 has 48 × 48 × 3"),
        ({"shape": (7,)}, {}, r"model\.size: is required"),
        ({"shape": (32, 24, 7)}, {}, r"engine\.input: image of the model server .* takes 32 × 24 × 7, no pictures"),
        ({"datatype": "FP32"}, {}, r"model\.normalize: is required, .* takes float32"),
        ({"datatype": "INT64"}, {}, r"engine\.input: image .* takes INT64, which is not sent"),
        ({"datatype": "BYTES"}, {"model": {"size": list(SIZE)}}, r"engine\.send: .*write `send: png`"),
        ({}, {"send": "png", "model": {"size": list(SIZE)}}, r"engine\.send: .* takes uint8, and string would be sent"),
        ({}, {"datatype": "float32"}, r"engine\.datatype: .* takes uint8, and float32 would be sent"),
        ({"metadata": False}, {}, r"model\.size: is required"),
        ({"metadata": False}, {"model": {"size": list(SIZE)}}, r"engine\.datatype: is required, uint8 or float32"),
        ({}, {"input": "pixels"}, r"engine\.input: there is no pixels; .* has image"),
        ({"outputs": ("a", "b")}, {}, r"engine\.cut: one has to be chosen; .* has a, b"),
        ({"model": lambda v: small_model(v) * np.nan}, {}, "gives NaN or infinity for the golden pictures"),
        ({"model": lambda v: np.zeros((len(v), 6), np.float32)}, {}, "gives the same vector for every picture"),
        ({"model": lambda v: small_model(v)[:, :1]}, {}, "gives an output of shape"),
        ({"model": lambda v: small_model(v) * len(v)}, {}, "a picture alone, differs by"),
        ({"model": lambda v: small_model(v)[:, : 7 - len(v)]}, {}, "vector of another length"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_line(
    server: ModelServer, plan: Plan, changes: dict[str, Any], fields: dict[str, Any], line: str
) -> None:
    for name, value in changes.items():
        setattr(server, name, tuple(side or -1 for side in value) if name == "shape" else value)
    with pytest.raises(ModelMismatch, match=line) as refused:
        plan(**fields)
    assert "\n" not in str(refused.value)


def test_a_server_of_another_protocol_is_one_line(server: ModelServer, plan: Plan) -> None:
    for protocol in ("kserve", "tensorflow"):
        server.fault = lambda path, reply: type(reply)(200, b'{"inputs": 7, "metadata": 7}')
        with pytest.raises(ModelMismatch, match=r"^engine\.protocol: what the model server at .* is not of "):
            plan(protocol)


def test_a_record_that_is_damaged_or_gone_is_said(server: ModelServer, plan: Plan, settings: Settings) -> None:
    spec = plan()[1]
    (record,) = Path(settings.lake.removeprefix("file://"), "models", "served").iterdir()
    whole = record.read_bytes()
    record.write_bytes(whole[:20])
    with pytest.raises(ModelMismatch, match=rf"{record} is damaged; delete it: the next run records"):
        plan()
    record.unlink()
    with pytest.raises(ModelMismatch, match=r"is gone; start a new run"):
        settle.recorded(spec, settings.lake)
    assert plan()[1].fingerprint(spec.preprocessing) == spec.fingerprint(spec.preprocessing)
    storage.write(f"file://{record}", whole)


def test_a_token_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    assert serving_token({}) is None
    assert serving_token({"IMAGEFEATURES_SERVING_TOKEN": "a.b-c"}) == "a.b-c"
    assert serving_token({"IMAGEFEATURES_SERVING_TOKEN_FILE": str(tmp_path / "token")}) == "secret"
    both = {"IMAGEFEATURES_SERVING_TOKEN": "secret", "IMAGEFEATURES_SERVING_TOKEN_FILE": str(tmp_path / "token")}
    with pytest.raises(Exception, match="is set, and IMAGEFEATURES_SERVING_TOKEN_FILE too; remove one"):
        serving_token(both)
    with pytest.raises(Exception, match=r"^IMAGEFEATURES_SERVING_TOKEN_FILE: .*nowhere cannot be read"):
        serving_token({"IMAGEFEATURES_SERVING_TOKEN_FILE": str(tmp_path / "nowhere")})
