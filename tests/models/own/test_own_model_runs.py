"""A whole way with a user's model: from the dataset file to the table, and what plan and the model step refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import read, storage
from imagefeatures.cli import main
from imagefeatures.dataset_files import find_dataset
from imagefeatures.errors import EXIT_INPUT_ERROR, ModelMismatch, ParamsError
from imagefeatures.layout import model_folder
from imagefeatures.models.own import files, process
from imagefeatures.models.own.child import Request
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.models.prepare import prepare, read_bundle
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support import model_files
from support.photos import fill, jpeg
from support.shared import PARTITION


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With a cache folder of the test's own: no model of an earlier test is in it."""
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    return replace(settings, cache=tmp_path / "cache")


@pytest.fixture
def dataset(settings: Settings, tmp_path: Path) -> Path:
    """A dataset file of a model from a file, and three photos. The model's file."""
    fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(3)})
    model = tmp_path / "models" / "small.onnx"
    model.parent.mkdir()
    model.write_bytes(model_files.onnx())
    fields = "{name: small, uri: ../models/small.onnx, cut: /pool, normalize: caffe}"
    text = f"name: birds\nsource: file://{tmp_path}/photos/\nmodel: {fields}\n"
    (settings.datasets / "birds.yaml").write_text(text)
    return model


def planned(settings: Settings) -> Run:
    return load_run(plan_run(find_dataset(settings.datasets, "birds"), RunParams(), PARTITION, settings))


def test_a_table_has_the_models_width_and_name(
    dataset: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "birds", PARTITION, "--workers", "1"]) == 0
    assert "3 listed = 3 registered (0 reused, 3 computed)" in capsys.readouterr().out
    rows = read.table(settings, "birds")
    vectors = read.vectors(rows)
    assert vectors.shape == (3, 6)
    assert np.ptp(vectors, axis=0).min() > 0
    assert set(rows["model"].to_pylist()) == {"small"}
    (fingerprint,) = set(rows["fingerprint"].to_pylist())
    facts = json.loads(storage.read(f"{model_folder(settings.lake, fingerprint)}/model.json"))
    assert (facts["width"], facts["reference"], set(facts["parity"])) == (6, "openvino", {"openvino"})
    dataset.unlink()  # a lake that has the model, and knows its digest, needs the file no more
    text = (settings.datasets / "birds.yaml").read_text()
    digest = files.ModelFiles("", "onnx", {"model.onnx": model_files.onnx()}).sha256
    (settings.datasets / "birds.yaml").write_text(text.replace("cut:", f"sha256: {digest}, cut:"))
    again = planned(settings)
    assert again.fingerprint == fingerprint
    assert prepare(again.model, again.preprocessing, settings.lake, settings.cache) == facts


def test_plan_refuses_what_cannot_be_used_in_one_line(
    dataset: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset.write_bytes(model_files.onnx()[:-100])
    assert main(["run", "birds", PARTITION, "--workers", "1"]) == EXIT_INPUT_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"imagefeatures: model: file://{dataset}")
    dataset.unlink()
    assert main(["run", "birds", PARTITION, "--workers", "1"]) == EXIT_INPUT_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"imagefeatures: model: file://{dataset}: there is no ")
    assert not list(storage.list_objects(f"{settings.lake}/staging"))


def test_a_file_that_changes_after_plan_is_refused_by_the_model_step(dataset: Path, settings: Settings) -> None:
    run = planned(settings)
    assert (run.model.width, run.model.cut, run.model.pooling) == (6, "/pool", "none")
    arrays = model_files.weights()
    dataset.write_bytes(model_files.onnx(arrays=arrays | {"kernel": arrays["kernel"] + np.float32(1)}))
    with pytest.raises(ModelMismatch, match=rf"has SHA-256 \w+, and {run.model.sha256} is expected"):
        prepare(run.model, run.preprocessing, run.lake, settings.cache)
    assert planned(settings).fingerprint != run.fingerprint


def test_a_run_file_whose_model_is_not_the_dataset_files_is_refused(dataset: Path, settings: Settings) -> None:
    run = planned(settings)
    for fact in ({"cut": "/relu"}, {"uri": "file:///elsewhere.onnx"}, {"scale": "tf"}, {"sha256": None}):
        changed = run.model_copy(update={"model": run.model.model_copy(update=fact)})
        storage.write(run.layout.run_file, changed.model_dump_json().encode())
        with pytest.raises(ParamsError, match="is of another fingerprint than this version computes"):
            load_run(run.layout.run_file)


def test_no_tensorflow_is_imported_where_openvino_reads_the_file(dataset: Path, tmp_path: Path) -> None:
    """In the process that parses the file: the modules that are there when it has answered."""
    program = (
        "import sys; from pathlib import Path; from imagefeatures.models.own import child; child.main(sys.argv[1]); "
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)), (Path(sys.argv[1]) / 'result.json').is_file())"
    )
    model = OwnModel.model_validate({"name": "small", "uri": f"file://{dataset}", "normalize": "tf", "cut": "/pool"})
    read_files = files.read(model.uri, model.format)
    facts = process.settle(model, read_files)
    from imagefeatures.models.own.resolve import spec_of

    request = Request(format="onnx", main=read_files.main, spec=spec_of(model, read_files.sha256, facts))
    read_files.write(tmp_path / "place" / "files")
    (tmp_path / "place" / "request.json").write_text(request.model_dump_json())
    command = [sys.executable, "-c", program, str(tmp_path / "place")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[] True\n"


def test_a_worker_that_cannot_give_the_golden_vectors_ends_the_job(dataset: Path, settings: Settings) -> None:
    from imagefeatures.models import engines

    run = planned(settings)
    prepare(run.model, run.preprocessing, run.lake, settings.cache)
    bundle = read_bundle(run.model, run.preprocessing, run.lake)
    assert engines.load("openvino", bundle).features(np.zeros((2, 40, 32, 3), np.uint8)).shape == (2, 6)
    other = run.model.model_copy(update={"width": 7})
    with pytest.raises(ModelMismatch, match="gives vectors of 6 values, the table holds 7"):
        engines.load("openvino", engines.Bundle(bundle.fingerprint, other, bundle.files))
