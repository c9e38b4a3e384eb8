"""SparkML's own folder: written by the driver on one machine, and else by a Spark of one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from imagefeatures.errors import StoreError
from imagefeatures_spark import saved_form


class Model:
    """A pipeline that notes where it is written."""

    def __init__(self) -> None:
        self.saved: list[str] = []

    def write(self) -> Model:
        return self

    overwrite = _to_java = write

    def save(self, uri: str) -> None:
        self.saved.append(uri)

    def saveToLocal(self, path: str) -> None:
        self.saved.append(path)


def save(model: Model, folder: Path, master: str | None) -> Path:
    return saved_form.save(cast("Any", model), folder, cast("Any", SimpleNamespace(master=master)))


@pytest.mark.parametrize("master", ["local", "local[*]", "local[2,3]"])
def test_on_one_machine_sparkml_writes_it_itself(master: str, tmp_path: Path) -> None:
    model = Model()
    assert save(model, tmp_path, master) == tmp_path / "spark"
    assert model.saved == [f"file://{tmp_path}/spark"]


@pytest.mark.parametrize("master", ["spark://host:7077", "yarn", "local-cluster[2,1,1024]", None])
def test_on_a_cluster_another_spark_turns_the_local_form_into_it(
    master: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*saved_form.CLASSPATH_FREE, "KEPT"):
        monkeypatch.setenv(name, "x")
    calls: list[tuple[list[str], dict[str, Any]]] = []

    def run(command: list[str], **given: Any) -> SimpleNamespace:
        calls.append((command, given))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    model = Model()
    assert save(model, tmp_path, master) == tmp_path / "spark"
    assert model.saved == [f"{tmp_path}/local"]
    ((command, given),) = calls
    assert command == [
        sys.executable, "-m", "imagefeatures_spark.saved_form", f"{tmp_path}/local", f"{tmp_path}/spark",
    ]  # fmt: skip
    assert (given["capture_output"], given["text"]) == (True, True)
    assert given["env"]["KEPT"] == "x"
    assert not set(saved_form.CLASSPATH_FREE) & set(given["env"])


def test_what_that_spark_says_last_is_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = SimpleNamespace(returncode=1, stdout="one\ntwo\n", stderr="three\nfour\nno space left")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: said)
    with pytest.raises(StoreError) as refused:
        save(Model(), tmp_path, "yarn")
    assert str(refused.value) == "SparkML's folder of the classifier cannot be written: two three four no space left"


def test_the_spark_of_one_process_is_closed_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    settings: dict[str, str] = {}

    class Conf:
        set = settings.__setitem__

    class Pipelines:
        def read(self) -> Pipelines:
            return self

        write = read

        def loadFromLocal(self, path: str) -> Pipelines:
            asked.append(f"load {path}")
            return self

        def save(self, uri: str) -> None:
            asked.append(f"save {uri}")

    ml = SimpleNamespace(PipelineModel=Pipelines())
    jvm = SimpleNamespace(org=SimpleNamespace(apache=SimpleNamespace(spark=SimpleNamespace(ml=ml))))
    context = SimpleNamespace(_jvm=jvm, stop=lambda: asked.append("stop"))
    monkeypatch.setattr(saved_form, "SparkConf", Conf)
    monkeypatch.setattr(saved_form, "SparkContext", lambda conf: context if conf.set is Conf.set else None)
    saved_form.convert("/tmp/local", "/tmp/spark")
    assert asked == ["load /tmp/local", "save file:///tmp/spark", "stop"]
    assert settings == {
        "spark.master": "local[1]", "spark.app.name": "saved form", "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.authenticate": "true",
    }  # fmt: skip
