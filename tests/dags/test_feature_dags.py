"""The DAG file that a user of the installed package writes, in a folder of their own, as docs/deploying.md shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagefeatures.plan import load_run
from imagefeatures.settings import Settings
from support.own_airflow import DAG_FILES, DATASETS_IN_DOCUMENT
from support.photos import jpeg

THREE_LINES, REPORT = (text.replace(DATASETS_IN_DOCUMENT, "{folder}") for text in DAG_FILES)


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    """A DAG file of three lines, and the folder that it names, which is not the settings'."""
    for name in ("own dags", "own datasets"):
        (tmp_path / name).mkdir()
    (tmp_path / "own datasets" / "birds.yaml").write_text(f"name: birds\nsource: file://{tmp_path}/birds/\n")
    file = tmp_path / "own dags" / "image_features.py"
    file.write_text(THREE_LINES.format(folder=str(tmp_path / "own datasets")))
    return file


def parsed(file: Path) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(file.parent, load_op_links=False)


def test_three_lines_are_the_repositorys_dag_file(own_file: Path, parse_dags: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    def serialized(bag: Any) -> dict[str, Any]:
        found = DagSerialization.to_dict(bag.dags["features_birds"])
        return {name: value for name, value in found["dag"].items() if "fileloc" not in name}

    bag = parsed(own_file)
    assert (sorted(bag.dags), bag.import_errors) == (["features_birds"], {})
    assert bag.dags["features_birds"].fileloc == str(own_file)
    assert "**The promise.**" in bag.dags["features_birds"].doc_md
    assert serialized(bag) == serialized(parse_dags(birds=f"source: file://{own_file.parents[1]}/birds/"))


def test_tasks_read_the_dataset_file_in_the_folder_that_the_dag_file_names(
    own_file: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "robin.jpg").write_bytes(jpeg())
    monkeypatch.delenv("IMAGEFEATURES_DATASETS")
    plan = parsed(own_file).dags["features_birds"].get_task("plan")
    run = load_run(plan.python_callable({"partition": "2026-11-02"}))
    assert (run.dataset.name, run.partition) == ("birds", "2026-11-02")


def test_a_malformed_file_stops_no_other_and_a_second_file_reports_it(own_file: Path) -> None:
    datasets = own_file.parents[1] / "own datasets"
    (datasets / "bad.yaml").write_text("name: bad\nsource: s3://b/\nlimts: {}\n")
    assert (sorted(parsed(own_file).dags), parsed(own_file).import_errors) == (["features_birds"], {})
    (own_file.parent / "malformed_datasets.py").write_text(REPORT.format(folder=str(datasets)))
    bag = parsed(own_file)
    assert sorted(bag.dags) == ["features_birds"]
    (file, text), *others = bag.import_errors.items()
    assert (Path(file).name, others) == ("malformed_datasets.py", [])
    assert "bad.yaml: limts: unknown field" in text


@pytest.mark.parametrize("folder", ["own datasets", "/nowhere/datasets"])
def test_a_folder_that_is_none_is_an_import_error_and_not_a_list_without_dags(
    folder: str, own_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a relative path, though the folder is there: each process of Airflow would read it from its own place."""
    monkeypatch.chdir(tmp_path)
    own_file.write_text(THREE_LINES.format(folder=folder))
    (text,) = parsed(own_file).import_errors.values()
    assert f"feature_dags: '{folder}' is not the absolute path of a folder" in text
