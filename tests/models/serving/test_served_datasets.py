"""`engine:` as a mapping in a dataset file, and a whole run by it: from the file to the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from imagefeatures import read, storage
from imagefeatures.cli import main
from imagefeatures.dataset_files import find_dataset, load_dataset
from imagefeatures.datasets import Dataset
from imagefeatures.errors import EXIT_INPUT_ERROR, DatasetError, ModelMismatch, ParamsError, ServingError
from imagefeatures.layout import model_folder
from imagefeatures.local import finish_run, run_partition
from imagefeatures.models import reference
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.prepare import prepare
from imagefeatures.models.serving.declared import ServedEngine, ServedModel
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support.model_servers import ModelServer, serving, small_model
from support.photos import fill, jpeg
from support.shared import PARTITION

ENGINE = {"serving": "http://models:8080", "protocol": "kserve", "model": "birds"}


def dataset(folder: Path, engine: Any = None, **fields: Any) -> Dataset:
    content = {"name": "birds", "source": f"file://{folder}/photos/", "engine": engine or ENGINE, **fields}
    path = folder / "datasets" / "birds.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return load_dataset(path)


def test_a_dataset_file_names_a_server_and_run_json_holds_it(tmp_path: Path) -> None:
    found = dataset(tmp_path, model={"name": "birds_v3", "normalize": {"mean": 127.5, "std": 127.5}})
    assert isinstance(found.engine, ServedEngine)
    assert isinstance(found.model, ServedModel)
    assert Dataset.model_validate_json(found.model_dump_json()) == found
    assert isinstance(dataset(tmp_path, model={"name": "birds_v3"}).model, ServedModel)
    assert dataset(tmp_path, model={"name": "resnet50"}).model == "resnet50"
    assert dataset(tmp_path).model == "mobilenet_v2"


@pytest.mark.parametrize(
    ("engine", "model", "line"),
    [
        ({"serving": "models:8080"}, None, r"engine\.serving: must be a URL such as http"),
        ({"serving": "http://models:99999"}, None, r"engine\.serving: must be a URL such as http"),
        ({"serving": "file:///etc/passwd"}, None, r"engine\.serving: must be a URL such as http"),
        ({"serving": "http://me:canary@models:8080"}, None, r"engine\.serving: must have no user, no password"),
        ({"serving": "http://models:8080/?key=canary"}, None, r"engine\.serving: must have no user, no password"),
        ({"serving": "http://models:8080/v2/models/x"}, None, r"engine\.serving: must end before /v1 or /v2"),
        ({"protocol": "grpc"}, None, r"engine\.protocol: must be kserve or tensorflow"),
        ({"modell": "x"}, None, r"engine\.modell: unknown field \(did you mean model\?\)"),
        ({"version": 3}, None, r"engine\.version: must be a text; write it in quotes"),
        ({"signature": "x"}, None, r"engine: signature: is of TensorFlow Serving"),
        ({"send": "png", "datatype": "uint8"}, None, r"engine: datatype: is of pixels"),
        ({"batch": 0}, None, r"engine\.batch: must be at least 1"),
        ({"in_flight": 33}, None, r"engine\.in_flight: must be at most 32"),
        ({"deadline": 0}, None, r"engine\.deadline: must be at least 1"),
        ({}, {"name": "resnet50", "normalize": "tf"}, r"model\.name: resnet50 is a model of the service's own"),
        ({}, {"name": "birds", "normalise": "tf"}, r"model\.normalise: unknown field \(did you mean normalize\?\)"),
        ({}, {"normalize": "tf"}, r"model\.name: is required"),
        ({}, "resnet34", r"model: must be one of mobilenet, "),
    ],
)
def test_a_mistake_is_one_line_with_the_field_and_without_secrets(
    tmp_path: Path, engine: dict[str, Any], model: Any, line: str
) -> None:
    with pytest.raises(DatasetError, match=rf"^birds\.yaml: {line}") as refused:
        dataset(tmp_path, ENGINE | engine, **({"model": model} if model else {}))
    assert "\n" not in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving(ModelServer()) as running:
        yield running


@pytest.fixture
def photos(settings: Settings, tmp_path: Path, server: ModelServer) -> Path:
    """Nine photos, and the dataset file `birds` of the server's model."""
    fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(9)})
    dataset(tmp_path, server.engine(deadline=5, batch=4), model={"name": "birds_v1"})
    return tmp_path / "photos"


def test_a_run_by_a_server_publishes_its_vectors_and_a_second_one_reuses_them(
    photos: Path, settings: Settings, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "birds", PARTITION, "--workers", "1"]) == 0
    assert "9 listed = 9 registered (0 reused, 9 computed)" in capsys.readouterr().out
    rows = read.table(settings, "birds")
    assert read.vectors(rows).shape == (9, 6)
    assert np.ptp(read.vectors(rows), axis=0).min() > 0
    assert set(rows["model"].to_pylist()) == {"birds_v1"}
    (fingerprint,) = set(rows["fingerprint"].to_pylist())
    facts = json.loads(storage.read(f"{model_folder(settings.lake, fingerprint)}/model.json"))
    assert (facts["reference"], facts["parity"], list(facts["sha256"])) == ("server", {}, ["golden.npy"])
    server.version = "2"
    assert main(["run", "birds", PARTITION, "--workers", "1"]) == 0
    assert "(0 reused, 9 computed)" in capsys.readouterr().out
    before = server.predictions
    assert main(["run", "birds", PARTITION, "--workers", "1"]) == 0
    assert "(9 reused, 0 computed)" in capsys.readouterr().out
    assert server.predictions - before == 6  # plan's golden pictures: together, one by one, and as many as a run sends


@pytest.mark.parametrize("when", ["featurize", "register"])
def test_a_version_that_changes_in_the_middle_publishes_nothing(
    photos: Path, settings: Settings, server: ModelServer, when: str
) -> None:
    found = find_dataset(settings.datasets, "birds")
    before = run_partition(found, RunParams(), settings, PARTITION).outcome.row
    for index in range(20, 29):
        fill(photos, {f"{index}.jpg": jpeg(index)})
    run_file = plan_run(found, RunParams(shard_images=6, reuse=False), PARTITION, settings)
    seen = []

    def change(path: str, reply: object) -> None:
        seen.append(path)
        # The worker asks three times for each of three shards. Then register asks.
        if path.endswith("/infer") and len([one for one in seen if one.endswith("/infer")]) == wanted:
            server.version = "2"

    wanted = 5 if when == "featurize" else 9
    server.fault = change
    try:
        finish_run(run_file, settings)
    except ModelMismatch as error:
        assert str(error).endswith("it has version 2; start a new run")
    else:
        pytest.fail(f"published after {len([one for one in seen if one.endswith('/infer')])} requests")
    assert {row["run_id"] for row in read.table(settings, "birds").to_pylist()} == {before["run_id"]}
    receipts = [stored.uri for stored in storage.list_objects(settings.lake) if "/featurize/shard-" in stored.uri]
    assert len([uri for uri in receipts if uri.endswith(".json")]) == (1 if when == "featurize" else 3)


def test_a_server_that_is_away_stops_the_run_and_the_same_run_goes_on_when_it_is_back(
    photos: Path, settings: Settings, server: ModelServer
) -> None:
    found = find_dataset(settings.datasets, "birds")
    run_file = plan_run(found, RunParams(shard_images=3), PARTITION, settings)
    left = [6]

    def away(path: str, reply: Any) -> Any:
        left[0] -= path.endswith("/infer")
        return type(reply)(503) if left[0] < 0 else None

    server.fault = away
    with pytest.raises(ServingError, match="status 503"):
        finish_run(run_file, settings)
    server.fault = None
    row = finish_run(run_file, settings).outcome.row
    assert (row["listed"], row["registered"], row["quarantined"]) == (9, 9, 0)


def test_a_picture_with_odd_features_is_rejected_alone(photos: Path, settings: Settings, server: ModelServer) -> None:
    def odd(values: np.ndarray) -> np.ndarray:
        vectors = small_model(values)
        if len(values) == 1 and server.predictions > 10:
            vectors[:] = np.nan
        return vectors

    server.model = odd
    found = find_dataset(settings.datasets, "birds")
    row = run_partition(found, RunParams(max_rejected=1), settings, PARTITION).outcome.row
    assert (row["registered"], dict(row["reasons"])) == (8, {"NOT_FINITE": 1})


def test_a_run_file_of_another_server_model_is_refused(photos: Path, settings: Settings, server: ModelServer) -> None:
    run = load_run(plan_run(find_dataset(settings.datasets, "birds"), RunParams(), PARTITION, settings))
    assert run.model.served
    for fact in (
        {"served": None},
        {"served": run.model.served.model_copy(update={"model": "others"})},
        {"served": run.model.served.model_copy(update={"golden": "0" * 64})},
        {"name": "others"},
        {"scale": "tf"},
        {"sha256": "0" * 64},
    ):
        changed = run.model_copy(update={"model": run.model.model_copy(update=fact)})
        storage.write(run.layout.run_file, changed.model_dump_json().encode())
        with pytest.raises(ParamsError, match="is of another fingerprint than this version computes"):
            load_run(run.layout.run_file)


@pytest.fixture
def backbone(server: ModelServer, tmp_path: Path) -> dict[str, Any]:
    """The default model's vectors, as a server gives them. The field `engine`."""
    spec = BACKBONES["mobilenet_v2"]
    golden = reference.kept_golden_vectors(spec)
    assert golden is not None
    known = {
        picture.tobytes(): vector
        for picture, vector in zip(reference.golden_pixels(spec.input_shape), golden, strict=True)
    }
    server.shape = spec.input_shape
    server.model = lambda values: np.stack([known[value.tobytes()] for value in values])
    return server.engine()


def test_a_model_by_name_is_a_promise_that_is_held(
    backbone: dict[str, Any], server: ModelServer, settings: Settings, tmp_path: Path
) -> None:
    fill(tmp_path / "photos", {"0.jpg": jpeg(0)})
    dataset(tmp_path, backbone)
    found = find_dataset(settings.datasets, "birds")
    run = load_run(plan_run(found, RunParams(), PARTITION, settings))
    assert (run.model.name, run.model.width) == ("mobilenet_v2", 1280)
    facts = prepare(run.model, run.preprocessing, run.lake, settings.cache, run.dataset.engine)
    assert facts["parity"]["server"]["max_absolute_difference"] <= 1e-3
    right = server.model
    server.model = lambda values: right(values) + np.float32(0.01)
    other = load_run(plan_run(found, RunParams(), PARTITION, settings))
    assert other.fingerprint != run.fingerprint
    with pytest.raises(ModelMismatch, match=r"which is to compute mobilenet_v2, differs by 0\.01 \(at most 0\.001\)"):
        prepare(other.model, other.preprocessing, other.lake, settings.cache, other.dataset.engine)
    server.model = lambda values: right(values)[:, :100]
    with pytest.raises(ModelMismatch, match=r"gives vectors of 100 values, and mobilenet_v2 has 1280"):
        plan_run(found, RunParams(), PARTITION, settings)


def test_a_server_that_is_away_is_said_by_the_command(
    photos: Path, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.fault = lambda path, reply: type(reply)(404, b'{"error": "no such model"}')
    assert main(["run", "birds", PARTITION, "--workers", "1"]) == EXIT_INPUT_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("answers with status 404 for /v2/models/birds: no such model")
