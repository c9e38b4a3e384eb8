"""run.json is believed only where its own facts say that it lies, in the lake of the environment.

Its URI passes through Airflow as the result of the task `plan`, which roles below admin may edit.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import InputError, ParamsError
from imagefeatures.layout import Layout, weights_record
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.plan import Run, load_run
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from imagefeatures_airflow import tasks
from support.photos import fill
from support.shared import PARTITION, MakeRun


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path) -> Run:
    """A planned run of the dataset `photos`."""
    return make_run(fill(tmp_path / "photos", {"1.jpg": b"x"}))


def copied(run: Run, folder: str, settings: Settings) -> str:
    """The run's run.json, copied to where a stranger can write; in a folder of that name in the lake, or beside it."""
    target = Path(settings.lake.removeprefix("file://"), folder, "run.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(run.layout.run_file.removeprefix("file://"), target)
    return f"file://{target}"


def at(run: Run, lake: str = "", dataset: str = "photos", partition: str = PARTITION, run_id: str = "") -> str:
    return f"{lake or run.lake}/staging/{dataset}/{partition}/{run_id or run.run_id}/run.json"


XCOMS: dict[str, Callable[[Run, Settings], Any]] = {
    "a file outside of the lake": lambda run, settings: copied(run, "../elsewhere", settings),
    "a whole lake elsewhere": lambda run, settings: copied(
        run, f"../stranger/staging/photos/{PARTITION}/{run.run_id}", settings
    ),
    "a lake whose name begins alike": lambda run, settings: copied(
        run, f"../lake2/staging/photos/{PARTITION}/{run.run_id}", settings
    ),
    "the lake's root": lambda run, settings: copied(run, ".", settings),
    "a folder of the lake that is not staging": lambda run, settings: copied(
        run, f"quarantine/photos/{PARTITION}/{run.run_id}", settings
    ),
    "another dataset's folder": lambda run, settings: copied(run, f"staging/birds/{PARTITION}/{run.run_id}", settings),
    "another partition's folder": lambda run, settings: copied(
        run, f"staging/photos/2026-11-03/{run.run_id}", settings
    ),
    "another run's folder": lambda run, settings: copied(
        run, f"staging/photos/{PARTITION}/20260101T000000-00000000", settings
    ),
    "a folder below the run": lambda run, settings: copied(
        run, f"staging/photos/{PARTITION}/{run.run_id}/ingest", settings
    ),
    "dots as dataset and partition": lambda run, _: at(run, dataset="..", partition=".."),
    "dots as run": lambda run, _: at(run, run_id=".."),
    "dots in the middle": lambda run, _: at(run, run_id=f"x/../{run.run_id}"),
    "a dot": lambda run, _: at(run, run_id=f"./{run.run_id}"),
    "two slashes": lambda run, _: at(run, run_id=f"/{run.run_id}"),
    "escaped dots": lambda run, _: at(run, dataset="%2e%2e", partition="%2e%2e"),
    "a NUL": lambda run, _: at(run) + "\0",
    "a NUL in the run": lambda run, _: at(run, run_id=f"{run.run_id}\0"),
    "a newline": lambda run, _: at(run) + "\n",
    "a space before": lambda run, _: " " + at(run),
    "another name": lambda run, _: at(run).replace("run.json", "other.json"),
    "a query": lambda run, _: at(run) + "?versionId=1",
    "another store": lambda run, _: at(run, lake="s3://stranger/lake"),
    "a path without a scheme": lambda run, _: at(run).removeprefix("file://"),
    "a host in the URI": lambda run, _: at(run).replace("file://", "file://stranger"),
    "an address of the web": lambda run, _: at(run, lake="https://stranger.example"),
    "upper case": lambda run, _: at(run, dataset="PHOTOS"),
    "a key of any length": lambda run, _: at(run, run_id="a" * 100_000),
    "an option": lambda *_: "--conf=spark.driver.extraJavaOptions=-javaagent:/tmp/x.jar",
    "an option and a value": lambda run, _: f"--help {at(run)}",
    "a command": lambda run, _: f"{at(run)}; touch /tmp/x",
    "a substitution": lambda run, _: f"$(touch /tmp/x){at(run)}",
    "a template": lambda *_: "{{ conn.spark_default.password }}",
    "nothing": lambda *_: "",
    "no text": lambda *_: None,
    "a number": lambda *_: 7,
    "a list": lambda run, _: [at(run)],
    "a mapping": lambda run, _: {"run": at(run)},
}
"""What somebody may put in the place of plan's result."""


@pytest.mark.parametrize("what", XCOMS)
def test_an_edited_result_of_plan_is_refused_in_one_line(what: str, run: Run, settings: Settings) -> None:
    uri = XCOMS[what](run, settings)
    for use in (
        lambda: load_run(uri),
        lambda: tasks.model(uri, "photos"),
        lambda: tasks.register(uri, "photos"),
        lambda: register.register(uri, settings),
    ):
        with pytest.raises(InputError, match=r"^--run: ") as refused:
            use()
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 1500


def test_the_run_that_plan_has_settled_is_taken(run: Run, settings: Settings) -> None:
    assert load_run(run.layout.run_file) == load_run(run.layout.run_file, settings.lake) == run


def test_the_run_of_another_dataset_is_refused_by_a_dags_tasks(run: Run) -> None:
    for task in (tasks.model, tasks.register):
        with pytest.raises(ParamsError, match=r"run\.json is a run of photos, not of birds; start a new run$"):
            task(run.layout.run_file, "birds")


def test_the_lake_is_the_environments(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMAGEFEATURES_LAKE", f"file://{tmp_path}/other")
    with pytest.raises(ParamsError, match=rf"is not the run\.json of a run in file://{tmp_path}/other$"):
        load_run(run.layout.run_file)


def test_a_file_that_is_refused_for_its_place_is_never_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "read", lambda uri: pytest.fail(f"{uri} was read"))
    for uri in ("file:///etc/passwd", at(run, dataset=".."), "s3://stranger/run.json"):
        with pytest.raises(ParamsError):
            load_run(uri)


def edited(run: Run, edit: Callable[[dict[str, Any]], object]) -> str:
    """The run's own run.json, changed in its place by somebody who can write there."""
    facts = json.loads(storage.read(run.layout.run_file))
    edit(facts)
    storage.write(run.layout.run_file, json.dumps(facts).encode())
    return run.layout.run_file


OTHER = "file:///etc/"
EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "run_id, outwards": (lambda facts: facts.update(run_id="../.."), "run_id"),
    "run_id": (lambda facts: facts.update(run_id="20260101T000000-00000000"), "run_id"),
    "run_id, a NUL": (lambda facts: facts.update(run_id=facts["run_id"] + "\0"), "run_id"),
    "partition, outwards": (lambda facts: facts.update(partition=".."), "partition"),
    "partition": (lambda facts: facts.update(partition="2026-11-03"), "partition"),
    "partition, a slash": (lambda facts: facts.update(partition="a/b"), "partition"),
    "lake": (lambda facts: facts.update(lake="file:///stranger"), "lake"),
    "lake, a slash more": (lambda facts: facts.update(lake=facts["lake"] + "/"), "lake"),
    "dataset": (lambda facts: facts["dataset"].update(name="birds"), r"dataset\.name"),
    "dataset, outwards": (lambda facts: facts["dataset"].update(name="../x"), r"dataset\.name"),
    "dataset, a table of the service": (lambda facts: facts["dataset"].update(name="runs"), r"dataset\.name"),
    "source": (lambda facts: facts["source"].update(uri=OTHER), "source"),
    "source of the dataset": (lambda facts: facts["dataset"]["source"].update(uri=OTHER), "source"),
    "source, a NUL": (
        lambda facts: [source.update(uri="file:///a\0/") for source in (facts["source"], facts["dataset"]["source"])],
        r"dataset\.source\.uri",
    ),
    "source, half a character": (
        lambda facts: [source.update(uri="s3://b/\ud800/") for source in (facts["source"], facts["dataset"]["source"])],
        "Invalid JSON",
    ),
    "pattern": (lambda facts: facts["source"].update(pattern=["*.key"]), "source"),
    "model": (lambda facts: facts["dataset"].update(model="resnet34"), r"dataset\.model"),
    "model, another one's name": (lambda facts: facts["dataset"].update(model="resnet50"), "fingerprint"),
    "weights": (lambda facts: facts["model"].update(weights="../../x.h5"), "fingerprint"),
    "digest of the weights": (lambda facts: facts["model"].update(weights_sha256="0" * 64), "fingerprint"),
    "fingerprint": (lambda facts: facts.update(fingerprint="0" * 32), "fingerprint"),
    "fingerprint, outwards": (lambda facts: facts.update(fingerprint="../../x"), "fingerprint"),
    "preprocessing": (lambda facts: facts["preprocessing"]["chain"].reverse(), "preprocessing"),
    "version of the preprocessing": (lambda facts: facts["preprocessing"].update(version=2), "fingerprint"),
    "images of a shard": (lambda facts: facts.update(shard_images=10**9), "shard_images"),
    "bytes of a shard": (lambda facts: facts.update(shard_bytes=1), "shard_bytes"),
    "started_at, later": (lambda facts: facts.update(started_at="2999-01-01T00:00:00Z"), "started_at"),
    "started_at, nowhere": (lambda facts: facts.update(started_at=facts["started_at"].removesuffix("Z")), "started_at"),
    "limits": (lambda facts: facts["dataset"]["limits"].update(max_pixels=2**40), r"dataset\.limits\.max_pixels"),
    "schedule": (lambda facts: facts["dataset"].update(schedule="0 0 32 * *"), r"dataset\.schedule"),
    "a field more": (lambda facts: facts.update(command="id"), "command"),
    "a field less": (lambda facts: facts.pop("lake"), "lake"),
}


@pytest.mark.parametrize("what", EDITS)
def test_a_run_json_that_contradicts_itself_is_refused_with_file_and_field(what: str, run: Run) -> None:
    edit, field = EDITS[what]
    uri = edited(run, edit)
    with pytest.raises(ParamsError, match=rf"^--run: {uri} .*{field}\b") as refused:
        load_run(uri)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 100_000, b"null", b"7", b"{", b'{"run_id": 1e999}'])
def test_a_run_json_that_is_none_is_refused(data: bytes, run: Run) -> None:
    storage.write(run.layout.run_file, data)
    with pytest.raises(ParamsError, match=r"is not a run\.json of this version: [^\n]+\Z"):
        load_run(run.layout.run_file)


def test_every_backbone_can_be_planned_and_loaded(make_run: MakeRun, settings: Settings, tmp_path: Path) -> None:
    fill(tmp_path / "photos", {"1.jpg": b"x"})
    for model, spec in BACKBONES.items():
        held = {} if spec.weights_sha256 else {"weights_sha256": f"{len(model):064x}"}
        if held:  # an earlier run has used the model's weights
            storage.write(weights_record(settings.lake, model), json.dumps(held).encode())
        run = make_run(tmp_path / "photos", model=model, schedule="0 0 * * *")
        assert load_run(run.layout.run_file).model == spec.model_copy(update=held)


def test_a_run_json_of_a_version_before_other_backbones_is_loaded(run: Run) -> None:
    known = {
        "name", "architecture", "input_shape", "scale", "cut", "width", "weights", "weights_sha256", "last_layer",
    }  # fmt: skip
    uri = edited(run, lambda facts: [facts["model"].pop(field) for field in set(facts["model"]) - known])
    assert set(json.loads(storage.read(uri))["model"]) == known
    assert load_run(uri) == run


def test_the_layout_of_a_dataset_is_not_another_ones(settings: Settings) -> None:
    uri = Layout(settings.lake, "photos", PARTITION, "20261103T000000-0a1b2c3d").run_file
    assert Layout.of_run_file(uri, settings.lake, "photos").run_file == uri
    assert Dataset(name="photos", source="s3://b/").name == Layout.of_run_file(uri, settings.lake).dataset
