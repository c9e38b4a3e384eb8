"""Classifiers fitted by a real Spark: what they learn, what of them can be read, and drivers that are killed.

A suite of its own: make test-classify.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.local.environment import environment
from imagefeatures import read
from imagefeatures.learning import portable, tables
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.job import plan_job
from imagefeatures.learning.places import ClassifierLayout
from imagefeatures.learning.publish import publish
from imagefeatures.run_params import ClassifyParams
from imagefeatures.settings import REPOSITORY, Settings
from support import learning

SEED = int(os.environ.get("SEED") or "0")
KILLED_WITH = ("spark/metadata", "portable.json", "decision.json")
"""What a job has written when its driver is killed: with the first, its fit is half stored."""
SETTINGS = (
    {"model": "logistic_regression"},
    {"model": "random_forest", "components": 8},
    {"model": "mlp"},
    {"model": "logistic_regression", "reduce": "scale", "split_seed": 7},
)
BYTES_TWICE = 20
"""So many images are there a second time, under another name and in another partition."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A lake with two partitions: with unlabelled images, a label with one image, and equal bytes in both."""
    root = tmp_path_factory.mktemp("classify")
    (root / "lake").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEFEATURES_LAKE", f"file://{root}/lake")
        patch.delenv("IMAGEFEATURES_CATALOG", raising=False)
        settings = Settings.from_env()
        first = [*learning.rows(600), *learning.rows(1, labels=("kiwi",), first=5000)]
        second = learning.rows(200, partition="2026-11-03", first=1000)
        for number in range(BYTES_TWICE):
            second[number] |= {name: first[number][name] for name in ("image_id", "label", "features")}
        learning.publish(settings, first)
        learning.publish(settings, second)
        yield settings


def command(uri: str, *options: str) -> list[str]:
    job = REPOSITORY / "jobs" / "imagefeatures_spark" / "classify.py"
    return ["spark-submit", "--driver-memory", "700m", *options, str(job), "--job", uri]


def env(settings: Settings) -> dict[str, str]:
    path = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "jobs", REPOSITORY / "tests")))
    return environment(Path(settings.lake.removeprefix("file://")).parent, 0) | {"PYTHONPATH": path}


def submit(settings: Settings, uri: str, *options: str) -> str:
    done = subprocess.run(command(uri, *options), env=env(settings), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def planned(settings: Settings, **fields: Any) -> str:
    return plan_job("fruit", Classify.model_validate(fields), ClassifyParams(), settings)


@pytest.fixture(scope="module")
def fitted(lake: Settings) -> list[dict[str, Any]]:
    """The row of learning.evaluations of each of SETTINGS."""
    rows = []
    for fields in SETTINGS:
        uri = planned(lake, margin=1, **fields)
        output = submit(lake, uri, "--master", "local[2]")
        assert "warning: too few images to be fitted" in output and "kiwi (1)" in output
        rows.append(publish(uri, lake))
    return rows


@pytest.fixture(scope="module")
def found(lake: Settings, fitted: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What spark_queries.py has found."""
    return queried(lake, tmp_path_factory.mktemp("found") / "found.pickle", *(row["folder"] for row in fitted))


def queried(settings: Settings, output: Path, *folders: str) -> dict[str, Any]:
    script = Path(__file__).with_name("spark_queries.py")
    arguments = [sys.executable, str(script), "fruit", str(output), *folders]
    done = subprocess.run(arguments, env=env(settings), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    content: dict[str, Any] = pickle.loads(output.read_bytes())
    return content


def check_both_forms(found: dict[str, Any], folder: str) -> None:
    """Compare what SparkML predicts of every row with what the portable form does."""
    uris = sorted(found["vectors"])
    vectors = np.array([found["vectors"][uri] for uri in uris], np.float32)
    predicted = portable.load(folder, learning.FINGERPRINT).predict(vectors)
    theirs = found[folder]
    assert predicted.labels.tolist() == [theirs[uri][0] for uri in uris]
    np.testing.assert_allclose(predicted.probabilities, [theirs[uri][1] for uri in uris], atol=1e-6)


def test_the_data_source_gives_the_rows_of_the_table(found: dict[str, Any], lake: Settings) -> None:
    rows = {row["uri"]: row for row in read.table(lake, "fruit").to_pylist()}
    assert found["rows"] == rows
    assert found["counted"] == len(rows) == 801
    assert found["by label"]["kiwi"] == 1 and found["by label"][None] == 200
    assert found["schema"].startswith("struct<partition_key:string,uri:string,image_id:string,label:string,width:int")
    assert "features:array<float>" in found["schema"]


def test_with_vector_it_gives_sparkml_vectors(found: dict[str, Any]) -> None:
    assert found["vector schema"] == "vector"
    assert found["vectors"].keys() == found["rows"].keys()
    for uri, vector in found["vectors"].items():
        np.testing.assert_array_equal(vector, found["rows"][uri]["features"])


def test_options_choose_rows_and_a_schema_chooses_columns(found: dict[str, Any], lake: Settings) -> None:
    wanted = read.open("fruit", settings=lake, where="label = 'fig'", split="test").to_numpy().uris
    assert sorted(found["asked"]) == sorted((uri, 3) for uri in wanted)


def test_spark_holds_out_the_images_that_numpy_holds_out(found: dict[str, Any], lake: Settings) -> None:
    test = read.open("fruit", settings=lake, split="test", test_share=0.3).to_numpy().uris
    assert sorted(found["held out", 0]) == sorted(test)
    from imagefeatures.learning.split import held_out

    rows = read.table(lake, "fruit", columns=("uri", "image_id"))
    held = held_out(rows["image_id"].combine_chunks(), 0.3, 7)
    assert sorted(found["held out", 7]) == sorted(rows["uri"].to_numpy()[held])


def test_equal_bytes_are_on_one_side(found: dict[str, Any]) -> None:
    rows = found["rows"]
    for seed in (0, 7):
        held = set(found["held out", seed])
        sides: dict[str, set[bool]] = {}
        for uri, row in rows.items():
            sides.setdefault(row["image_id"], set()).add(uri in held)
        assert all(len(side) == 1 for side in sides.values())
    assert len(rows) - len({row["image_id"] for row in rows.values()}) == BYTES_TWICE


@pytest.mark.parametrize(
    "number", range(len(SETTINGS)), ids=lambda number: "-".join(map(str, SETTINGS[number].values()))
)
def test_each_kind_learns_and_both_forms_predict_the_same(
    number: int, fitted: list[dict[str, Any]], found: dict[str, Any], lake: Settings
) -> None:
    row = fitted[number]
    assert row["accuracy"] > 0.95
    assert (row["labels"], row["left_out"], row["rows_unlabelled"]) == (["apple", "fig", "pear"], {"kiwi": 1}, 200)
    assert row["rows_train"] + row["rows_test"] == 600
    check_both_forms(found, row["folder"])


def test_the_table_has_the_predictions_of_the_last_one(
    fitted: list[dict[str, Any]], found: dict[str, Any], lake: Settings
) -> None:
    last = fitted[-1]
    rows = tables.predictions(lake, "fruit").to_pylist()
    assert len(rows) == 801
    assert {row["model_id"] for row in rows} == {last["model_id"]}
    assert all(row["predicted"] == found[last["folder"]][row["uri"]][0] for row in rows)


def test_drivers_that_are_killed_leave_one_model_and_one_row(lake: Settings, fitted: list[dict[str, Any]]) -> None:
    uri = planned(lake, split_seed=12, margin=1)
    layout = ClassifierLayout.of_job_file(uri, lake.lake)
    folder = Path(layout.folder.removeprefix("file://"))
    for written in KILLED_WITH:
        killed_once_there(lake, uri, folder / written)
        assert not (folder / "result.json").exists()
    submit(lake, uri, "--master", "local[2]")
    row = publish(uri, lake)
    assert "was done before" in submit(lake, uri, "--master", "local[2]")
    assert publish(uri, lake) == row
    assert [one["model_id"] for one in tables.evaluations(lake, "fruit")].count(layout.model_id) == 1
    assert row["accuracy"] > 0.95
    assert len(list(folder.glob("portable*.json"))) == 1
    assert len(list(folder.glob("spark/stages/*_LogisticRegression_*/data/*.parquet"))) == 1
    files = Path(layout.predictions.removeprefix("file://")).parent.glob(f"{layout.model_id}-*")
    assert len(list(files)) == 1
    assert tables.predictions(lake, "fruit").num_rows == 801


def killed_once_there(settings: Settings, uri: str, written: Path) -> None:
    """Start the job, and end it with all its processes as soon as the file or folder is there; at once where it is."""
    process = subprocess.Popen(
        command(uri, "--master", "local[2]"), env=env(settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    until_end = time.monotonic() + 300
    while not written.exists() and process.poll() is None and time.monotonic() < until_end:
        time.sleep(0.002)
    time.sleep(random.Random(f"{SEED}{written}").uniform(0, 0.05))
    assert process.poll() is None, "the job has ended before it was killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_on_a_cluster_the_driver_writes_sparkmls_folder(lake: Settings, tmp_path: Path) -> None:
    uri = planned(lake, split_seed=13, margin=1, model="random_forest", components=8)
    submit(lake, uri, "--master", "local-cluster[1,1,700]", "--conf", "spark.executor.memory=700m")
    layout = ClassifierLayout.of_job_file(uri, lake.lake)
    folder = Path(layout.spark.removeprefix("file://"))
    assert {path.name for path in folder.iterdir()} == {"metadata", "stages"}
    assert len(list((folder / "stages").iterdir())) == 4
    assert publish(uri, lake)["accuracy"] > 0.95
    check_both_forms(queried(lake, tmp_path / "found.pickle", layout.folder), layout.folder)


def test_labels_that_cannot_be_fitted_end_the_job_at_once_with_the_remedy(lake: Settings) -> None:
    learning.publish(lake, learning.rows(40, labels=("fig",)), name="figs")
    uri = plan_job("figs", Classify(), ClassifyParams(), lake)
    done = subprocess.run(command(uri, "--master", "local[1]"), env=env(lake), capture_output=True, text=True)
    assert done.returncode == 65
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("classify: InputError: features.figs: every label is fig, and a classifier needs two")


@pytest.mark.parametrize("kind", ["logistic_regression", "random_forest", "mlp"])
def test_vectors_in_few_dimensions_are_fitted_by_what_varies(kind: str, settings: Settings) -> None:
    """Twelve different vectors have eleven components that vary. Scaled, the rounding of the others would be noise."""
    rows = learning.rows(96)
    for number, row in enumerate(rows):
        row |= {name: rows[number % 12][name] for name in ("features", "label")}
    learning.publish(settings, rows)
    uri = planned(settings, model=kind)
    submit(settings, uri, "--master", "local[2]")
    result = publish(uri, settings)
    classifier = portable.load(result["folder"], learning.FINGERPRINT)
    assert classifier.arrays["components"].shape[1] <= 11
    labelled = [row for row in rows[:12] if row["label"]]
    vectors = np.array([row["features"] for row in labelled], np.float32)
    assert classifier.predict(vectors).labels.tolist() == [row["label"] for row in labelled]
