"""`make run` takes every run parameter as a variable, and refuses by its name what is none."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.run_variables import VARIABLES, run_parameters
from imagefeatures.errors import ParamsError
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support.making import OF_AN_OUTER_MAKE

LocalRun = Callable[[dict[str, str], list[str]], str]


def flags_of(tmp_path: Path, *arguments: str) -> str:
    """MAKEFLAGS as the real make hands it to the command of a target."""
    (tmp_path / "Makefile").write_text("run:\n\t@printf '%s' \"$$MAKEFLAGS\"\n")
    env = {name: value for name, value in os.environ.items() if name not in OF_AN_OUTER_MAKE}
    command = ["make", "run", *arguments]
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout


def test_every_run_parameter_but_the_partition_is_a_variable(tmp_path: Path) -> None:
    assert set(VARIABLES.values()) | {"partition"} == set(RunParams.model_fields)
    values = dict.fromkeys(VARIABLES, "1") | {"REUSE": "false", "SHARD_BYTES": "2097152"}
    flags = flags_of(tmp_path, "DATASET=fruit", *(f"{name}={value}" for name, value in values.items()))
    given = run_parameters({**values, "MAKEFLAGS": flags, "DATASET": "fruit", "PARTITION": "2026-11-02"})
    assert given == {name.lower(): value for name, value in values.items()}
    assert RunParams.parse(given).reuse is False


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("MAX_REJECT=1", "MAX_REJECT: not a run parameter; did you mean MAX_REJECTED?"),
        ("max_rejected=1", "max_rejected: not a run parameter; did you mean MAX_REJECTED?"),
        ("max-rejected:=1", "max-rejected: not a run parameter; did you mean MAX_REJECTED?"),
        ("COLOUR=red green=blue", "COLOUR: not a run parameter; there are SAMPLE, MAX_REJECTED, "),
    ],
)
def test_a_variable_that_is_none_is_refused_by_its_name(tmp_path: Path, argument: str, said: str) -> None:
    flags = flags_of(tmp_path, "-s", "DATASET=fruit", "PARTITION=a b=c", argument)
    with pytest.raises(ParamsError) as refused:
        run_parameters({"MAKEFLAGS": flags})
    assert str(refused.value).startswith(said)


def test_settings_and_makes_own_variables_are_none_of_ours(tmp_path: Path) -> None:
    others = ("IMAGEFEATURES_LAKE=file:///data/my lake", "AWS_REGION=x", "PYTHON=python3.12", "PARTITION=2026-11-02")
    assert run_parameters({"MAKEFLAGS": flags_of(tmp_path, *others)}) == {}
    assert run_parameters({"COLOUR": "red", "MAX_REJECTED": ""}) == {}  # the environment is full of others


@pytest.mark.parametrize(
    ("variables", "words", "said"),
    [
        ({"MAX_REJECTED": "2"}, ["fruit", "2026-11-02"], "ParamsError: max_rejected: "),
        ({"SAMPLE": "half"}, ["fruit", "2026-11-02"], "ParamsError: sample: "),
        (
            {"MAKEFLAGS": " -- SAMPEL=1"},
            ["fruit", ""],
            "ParamsError: SAMPEL: not a run parameter; did you mean SAMPLE?",
        ),
        ({}, ["fruit", ""], "ParamsError: partition: a manual run needs one"),
        ({}, ["nothing", ""], "DatasetError: no dataset file for 'nothing'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(
    local_run: LocalRun, variables: dict[str, str], words: list[str], said: str
) -> None:
    assert local_run(variables, words).startswith(said)


@pytest.fixture
def local_run(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> LocalRun:
    """local_run(variables, words): what a refused `python -m deploy.local run` says; it has made no file."""
    from deploy.local import __main__ as local_main

    (settings.datasets / "fruit.yaml").write_text("name: fruit\nsource: s3://photos/{partition}/\n")
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    monkeypatch.setattr(local_main, "HOME", tmp_path / "airflow")
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(variables: dict[str, str], words: list[str]) -> str:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["deploy.local", "run", *words])
        assert local_main.main() == 1
        assert not (tmp_path / "airflow" / "run").exists()
        return capsys.readouterr().err

    return run
