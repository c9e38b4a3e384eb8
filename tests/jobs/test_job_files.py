"""The files that `spark-submit` is given: each starts the job of its name."""

from __future__ import annotations

import runpy
import sys

import pytest

from imagefeatures.settings import REPOSITORY

JOBS = ("classify", "featurize", "ingest", "resize", "validate")


@pytest.mark.parametrize("folder", ["jobs", "jobs/imagefeatures_spark"])
@pytest.mark.parametrize("job", JOBS)
def test_a_job_says_what_it_is_given(
    job: str, folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{job}.py", "--help"])
    # A module that runs as the program takes the place of __main__, which may be pytest's.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(REPOSITORY / folder / f"{job}.py"), run_name="__main__")
    assert ended.value.code == 0
    argument = "--job" if job == "classify" else "--run"
    assert f"usage: {job}.py [-h] {argument} URI" in capsys.readouterr().out


def test_each_of_them_is_tried() -> None:
    assert sorted(path.stem for path in (REPOSITORY / "jobs").glob("*.py")) == sorted(JOBS)
