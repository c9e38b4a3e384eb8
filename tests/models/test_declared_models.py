"""The fields `model`, `models` and `engine`: which form each takes, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from imagefeatures import names
from imagefeatures.models import declared
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.declared import AnyEngine, AnyModel, check_engine, check_model, check_models, with_form
from imagefeatures.models.own.declared import FROM_CONFIG, OwnModel
from imagefeatures.models.serving.declared import OfServer, ServedEngine, ServedModel

SHA = "0" * 64
FILE: dict[str, Any] = {"name": "birds", "uri": "s3://b/birds.onnx", "sha256": SHA, "cut": "/pool", "normalize": "tf"}
OWN = OwnModel.model_validate(FILE)
KERAS = OwnModel.model_validate(FILE | {"uri": "s3://b/birds.keras"})
SERVED = ServedModel(name="birds")
SERVER: dict[str, Any] = {"serving": "http://h:9", "protocol": "kserve", "model": "birds"}
ENGINE = ServedEngine.model_validate(SERVER)
CONFIG = {"preprocessor_config": "s3://b/preprocessor_config.json"}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("vgg16", "vgg16"),
        (FILE, OWN),
        (OWN, OWN),
        (OfServer(name="birds"), SERVED),
        (SERVED, SERVED),
    ],
    ids=str,
)
def test_a_model_is_a_name_a_file_or_a_servers(given: Any, found: Any) -> None:
    assert TypeAdapter(AnyModel).validate_python(given) == found


def test_a_number_is_no_model() -> None:
    with pytest.raises(ValidationError, match=r"\(name\)\n  Input should be a valid string"):
        TypeAdapter(AnyModel).validate_python(7)


@pytest.mark.parametrize(
    ("given", "found"), [("tensorflow", "tensorflow"), (SERVER, ENGINE), (ENGINE, ENGINE)], ids=str
)
def test_an_engine_is_a_library_or_a_server(given: Any, found: Any) -> None:
    assert TypeAdapter(AnyEngine).validate_python(given) == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"name": "vgg16"}, "vgg16"),
        ("vgg16", "vgg16"),
        (FILE, FILE),
        ({"nam": "vgg16"}, {"nam": "vgg16"}),
        ({}, {}),
        (7, 7),
    ],
)
def test_a_mapping_that_has_a_name_alone_is_the_name(given: Any, found: Any) -> None:
    assert declared.short_form(given) == found


def test_a_servers_model_stays_a_mapping() -> None:
    own = OfServer(name="birds")
    assert declared.short_form(own) is own


def completed(**given: Any) -> Any:
    return with_form(given)


@pytest.mark.parametrize("given", [7, "text", None, [{}]])
def test_what_is_no_dataset_is_left_as_it_is(given: Any) -> None:
    assert with_form(given) is given


def test_beside_a_server_a_model_that_is_no_file_and_no_backbone_is_the_servers() -> None:
    for engine in (SERVER, ENGINE):
        found = completed(engine=engine, model={"name": "birds"})["model"]
        assert (type(found), found) == (OfServer, {"name": "birds"})
        found = completed(engine=engine, model={"name": "vgg16", "size": [32, 32]})["model"]
        assert type(found) is OfServer
        assert type(completed(engine=engine, model={})["model"]) is OfServer
        for other in ({"name": "vgg16"}, FILE):
            assert type(completed(engine=engine, model=other)["model"]) is dict
        assert completed(engine=engine, model="birds")["model"] == "birds"
    assert type(completed(engine="openvino", model={"name": "birds"})["model"]) is dict
    assert type(completed(model={"name": "birds"})["model"]) is dict


def test_a_dataset_that_names_no_model_gets_none() -> None:
    assert completed(name="fruit") == {"name": "fruit"}
    assert completed(name="fruit", engine=SERVER) == {"name": "fruit", "engine": SERVER}


OPEN = {name: value for name, value in FILE.items() if name != "normalize"}


@pytest.mark.parametrize("normalize", [{}, {"normalize": None}, {"normalize": FROM_CONFIG}], ids=str)
def test_a_file_of_preprocessing_says_how_values_are_scaled_where_the_model_leaves_it_open(normalize: Any) -> None:
    model = OPEN | normalize
    assert completed(preprocess=CONFIG, model=model)["model"] == OPEN | {"normalize": FROM_CONFIG}
    assert completed(preprocess=CONFIG, model=FILE)["model"] == FILE
    # Without one, or where the dataset says it itself, it is required as if nothing stood there.
    for beside in ({}, {"preprocess": []}, {"preprocess": CONFIG, "scale": "tf"}):
        assert completed(**beside, model=model)["model"] == OPEN | {"normalize": None}
    assert completed(preprocess=CONFIG, scale=None, model=model)["model"]["normalize"] == FROM_CONFIG
    for several in ([model, FILE, "vgg16"], (model, FILE, "vgg16")):
        found = completed(preprocess=CONFIG, models=several)
        assert found == {"preprocess": CONFIG, "models": [OPEN | {"normalize": FROM_CONFIG}, FILE, "vgg16"]}
    assert completed(preprocess=CONFIG, models="vgg16")["models"] == "vgg16"
    assert completed(preprocess=CONFIG, model={"name": "birds"})["model"] == {"name": "birds"}


def test_a_name_is_that_of_the_tables() -> None:
    assert [declared.name_of(model) for model in ("vgg16", OWN, SERVED)] == ["vgg16", "birds", "birds"]


@pytest.mark.parametrize(
    ("engine", "models"),
    [
        (ENGINE, [SERVED]),
        (ENGINE, ["vgg16"]),
        (ENGINE, [OWN]),
        ("tensorflow", [KERAS, "vgg16"]),
        ("openvino", [OWN, KERAS, SERVED]),
        ("tensorflow", [SERVED]),
        ("tensorflow", []),
    ],
)
def test_an_engine_runs_its_models(engine: Any, models: list[Any]) -> None:
    check_engine(engine, models)


def test_an_engine_that_cannot_run_a_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^is one model of a server; write model in place of models$"):
        check_engine(ENGINE, [SERVED, SERVED])
    with pytest.raises(ValueError, match=r"^runs no model of format onnx; leave it out, or say openvino$"):
        check_engine("tensorflow", [KERAS, OWN])


def test_there_is_a_model_of_the_name() -> None:
    for model in ("vgg16", OWN, SERVED):
        check_model(model)
    with pytest.raises(ValueError, match=r"^must be one of mobilenet, .*, or a mapping with name and uri$"):
        check_model("vgg61")
    with pytest.raises(ValueError, match=r"^none is what the tables say where there is no model; choose another name$"):
        check_model(OWN.model_copy(update={"name": names.NO_MODEL}))


def named(name: str) -> ServedModel:
    return SERVED.model_copy(update={"name": name})


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([named(f"m{at}") for at in range(17)], "must be 16 models at most: a worker keeps each of them loaded"),
        (["vgg16", "vgg61"], "must be one of "),
        (["vgg16", named("b"), named("b"), "vgg16"], "b is there twice; give one of them another name, or remove it"),
        (["vgg16", named("x_pixels")], "the table fruit__x_pixels would have the name of one with pixels; "),
        (["vgg16", named("x" * 57)], "the name of the table fruit__xxx"),
    ],
)
def test_models_that_cannot_have_a_table_each_are_refused(models: list[Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        check_models("fruit", models)


def test_as_many_models_as_a_worker_keeps_and_names_as_long_as_a_tables() -> None:
    check_models("fruit", [named(f"m{at}") for at in range(16)])
    check_models("fruit", ["vgg16", named("x" * 56)])
    check_models("fruit", [named("x_pixels"), "vgg16"])  # the first one's table has the dataset's name
    assert declared.tables_of("fruit", ["vgg16", OWN, "resnet50"]) == ("fruit", "fruit__birds", "fruit__resnet50")
    assert "resnet50" in BACKBONES
